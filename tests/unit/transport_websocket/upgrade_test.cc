#include "plugins/transport_websocket/upgrade.h"

#include <string>

#include "plugins/transport_websocket/forwarded_address.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::websocket {

namespace {

constexpr const char* kKey = "dGhlIHNhbXBsZSBub25jZQ==";

std::string request_with(const std::string& line, const std::string& others) {
  return line + "\r\nHost: broker.example:8083\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
         "Sec-WebSocket-Key: " + kKey + "\r\nSec-WebSocket-Version: 13\r\n" + others + "\r\n";
}

std::string request(const std::string& others = "Sec-WebSocket-Protocol: mqtt\r\n") {
  return request_with("GET /mqtt HTTP/1.1", others);
}

std::string with_field(const std::string& field) {
  return request("Sec-WebSocket-Protocol: mqtt\r\n" + field + "\r\n");
}

std::string without_field(const std::string& name) {
  std::string text = request();
  const std::size_t at = text.find("\r\n" + name + ":") + 2;
  return text.erase(at, text.find("\r\n", at) + 2 - at);
}

}  // namespace

TEST_GROUP(Upgrade) {
  Ref<UpgradePolicy> policy = Ref<UpgradePolicy>::adopt(new UpgradePolicy);
  std::string peer = "192.0.2.1:50000";

  UpgradeResult read(const std::string& text) { return read_upgrade(text, *policy, peer); }
  void accepted(const std::string& text) {
    const UpgradeResult result = read(text);
    if (result.kind != UpgradeResult::Kind::kAccepted) FAIL(std::string(result.refusal.reason).c_str());
    LONGS_EQUAL(text.size(), result.size);
  }
  void refused(int status, const std::string& text) {
    const UpgradeResult result = read(text);
    CHECK(result.kind == UpgradeResult::Kind::kRefused);
    LONGS_EQUAL_TEXT(status, result.refusal.status, std::string(result.refusal.reason).c_str());
    CHECK(!result.refusal.reason.empty());
  }
  void trust(const char* range) { CHECK(policy->trusted_proxies.add(range).ok()); }
};

TEST(Upgrade, is_accepted_with_its_key_and_subprotocol) {
  const UpgradeResult result = read(request());
  CHECK(result.kind == UpgradeResult::Kind::kAccepted);
  STRCMP_EQUAL(kKey, result.upgrade.key.c_str());
  STRCMP_EQUAL("mqtt", result.upgrade.subprotocol.c_str());
  CHECK(!result.upgrade.came_by_proxy);
}

TEST(Upgrade, may_come_byte_by_byte) {
  const std::string text = request();
  for (std::size_t size = 0; size != text.size(); ++size) {
    CHECK(read(text.substr(0, size)).kind == UpgradeResult::Kind::kNeedMore);
  }
}

TEST(Upgrade, may_be_followed_by_frames) {
  const std::string text = request();
  LONGS_EQUAL(text.size(), read(text + "\x82").size);
}

TEST(Upgrade, takes_the_clients_first_subprotocol_that_is_known) {
  STRCMP_EQUAL("mqttv3.1", read(request("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n")).upgrade.subprotocol.c_str());
  STRCMP_EQUAL("mqtt", read(request("Sec-WebSocket-Protocol: chat,mqtt\r\n")).upgrade.subprotocol.c_str());
  STRCMP_EQUAL(
      "mqtt",
      read(request("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: mqtt\r\n")).upgrade.subprotocol.c_str());
}

TEST(Upgrade, without_a_known_subprotocol_is_refused) {
  refused(400, request(""));
  refused(400, request("Sec-WebSocket-Protocol: chat\r\n"));
  refused(400, request("Sec-WebSocket-Protocol: MQTT\r\n"));
  refused(400, request("Sec-WebSocket-Protocol: mqtt,\r\n"));
}

TEST(Upgrade, is_for_one_path) {
  accepted(request_with("GET /mqtt?token=1 HTTP/1.1", "Sec-WebSocket-Protocol: mqtt\r\n"));
  for (const char* path : {"/", "/mqtt/", "/MQTT", "/mqttx", "/./mqtt"}) {
    refused(404, request_with(std::string("GET ") + path + " HTTP/1.1", "Sec-WebSocket-Protocol: mqtt\r\n"));
  }
}

TEST(Upgrade, is_a_get_of_http_1_1) {
  refused(405, request_with("POST /mqtt HTTP/1.1", ""));
  refused(405, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  refused(505, request_with("GET /mqtt HTTP/1.0", ""));
  refused(505, request_with("GET /mqtt HTTP/2.0", ""));
  refused(400, request_with("GET /mqtt", ""));
  refused(400, request_with("GET http://broker.example/mqtt HTTP/1.1", ""));
}

TEST(Upgrade, what_is_no_http_at_all_is_not_waited_for) {
  refused(405, std::string("\x10\x0c\0\4MQTT", 8));
  refused(405, "\x16\x03\x01");
  refused(405, "G\r");
}

TEST(Upgrade, asks_for_websocket_13) {
  refused(426, without_field("Upgrade"));
  refused(426, without_field("Connection"));
  refused(426, without_field("Sec-WebSocket-Version"));
  std::string other = request();
  other.replace(other.find("Version: 13"), 11, "Version: 8 ");
  refused(426, other);
  const std::string answer = refusal_answer(read(other).refusal);
  CHECK(answer.find("\r\nSec-WebSocket-Version: 13\r\n") != std::string::npos);
}

TEST(Upgrade, has_a_key_of_16_bytes) {
  refused(400, without_field("Sec-WebSocket-Key"));
  for (const char* key : {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25j\"Q=="}) {
    std::string text = request();
    text.replace(text.find(kKey), 24, key);
    refused(400, text);
  }
}

TEST(Upgrade, with_malformed_header_fields_is_refused) {
  for (const char* field :
       {"no colon", ": no name", "sp ace: x", " folded", "name : x", "x: a\nb", "x: a\rb", "x: \x01"}) {
    refused(400, with_field(field));
  }
  refused(400, with_field(std::string("x: a\0b", 6)));
  refused(400, with_field("Host: twice.example"));
  refused(400, with_field("Origin: http://broker.example\r\nOrigin: http://broker.example"));
  refused(400, with_field("Content-Length: 5"));
  refused(400, with_field("Transfer-Encoding: chunked"));
  refused(400, without_field("Host"));
}

TEST(Upgrade, is_bounded) {
  refused(431, "GET /mqtt HTTP/1.1\r\nx: " + std::string(kLongestRequest, 'x'));
  std::string many;
  for (std::size_t i = 0; i != kMostHeaders; ++i) many += "x: y\r\n";
  refused(431, request("Sec-WebSocket-Protocol: mqtt\r\n" + many));
}

TEST(Upgrade, without_an_origin_is_no_browsers) { accepted(request()); }

TEST(Upgrade, of_a_page_of_the_same_host_is_accepted) {
  accepted(with_field("Origin: http://broker.example"));
  accepted(with_field("Origin: https://BROKER.example:9443"));
  refused(403, with_field("Origin: http://broker.example.evil.example"));
  refused(403, with_field("Origin: http://evil.example/broker.example"));
  refused(403, with_field("Origin: null"));
  refused(403, with_field("Origin: broker.example"));
}

TEST(Upgrade, of_a_page_of_a_listed_origin_is_accepted) {
  policy->same_host = false;
  policy->origins = {"https://app.example"};
  accepted(with_field("Origin: https://APP.example"));
  refused(403, with_field("Origin: http://app.example"));
  refused(403, with_field("Origin: https://app.example:444"));
  refused(403, with_field("Origin: http://broker.example"));
}

TEST(Upgrade, of_any_page_is_accepted_where_that_is_wanted) {
  policy->any_origin = true;
  accepted(with_field("Origin: null"));
}

TEST(Upgrade, a_trusted_proxy_tells_of_its_client) {
  trust("192.0.2.0/24");
  STRCMP_EQUAL("203.0.113.7:0", read(with_field("X-Forwarded-For: 203.0.113.7")).upgrade.client.c_str());
  STRCMP_EQUAL("[2001:db8::7]:0", read(with_field("X-Forwarded-For: [2001:db8::7]:4711")).upgrade.client.c_str());
  CHECK(read(with_field("X-Forwarded-For: 203.0.113.7")).upgrade.came_by_proxy);
}

TEST(Upgrade, of_a_chain_of_proxies_the_last_that_is_not_trusted_counts) {
  trust("192.0.2.0/24");
  const std::string forged = "X-Forwarded-For: 127.0.0.1, 203.0.113.7, 192.0.2.9";
  STRCMP_EQUAL("203.0.113.7:0", read(with_field(forged)).upgrade.client.c_str());
  STRCMP_EQUAL("203.0.113.7:0",
               read(with_field("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.7")).upgrade.client.c_str());
}

TEST(Upgrade, what_a_trusted_proxy_forwards_must_be_an_address) {
  trust("192.0.2.1");
  refused(400, with_field("X-Forwarded-For: unknown"));
  refused(400, with_field("X-Forwarded-For: 203.0.113.7, "));
}

TEST(Upgrade, others_are_not_believed_but_it_is_known_that_they_forward) {
  const UpgradeResult result = read(with_field("X-Forwarded-For: 127.0.0.1"));
  CHECK(result.upgrade.client.empty());
  CHECK(result.upgrade.came_by_proxy);
  CHECK(read(with_field("Forwarded: for=127.0.0.1")).upgrade.came_by_proxy);
}

TEST(Upgrade, cve_2025_11678_libwebsockets_is_shown_nothing_of_a_request_but_its_key) {
  const Upgrade upgrade = read(with_field("Sec-WebSocket-Extensions: permessage-deflate\r\nCookie: a")).upgrade;
  STRCMP_EQUAL(
      "GET / HTTP/1.1\r\nHost: mqloop\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
      plain_request(upgrade.key, upgrade.subprotocol).c_str());
}

TEST(Upgrade, a_refusal_says_why) {
  STRCMP_EQUAL(
      "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nnone\n",
      refusal_answer({404, "none"}).c_str());
}

TEST_GROUP(ForwardedAddress){};

TEST(ForwardedAddress, may_have_a_port) {
  for (const char* text : {"192.0.2.1", "192.0.2.1:80", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80"}) {
    STRCMP_EQUAL("192.0.2.1:0", peer_text(*read_address(text)).c_str());
  }
  for (const char* text : {"2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"}) {
    STRCMP_EQUAL("[2001:db8::1]:0", peer_text(*read_address(text)).c_str());
  }
}

TEST(ForwardedAddress, is_read_whole_or_not_at_all) {
  for (const char* text : {"", "10.0.0.1:", "10.0.0.1:99999", "[::1", "[::1]x", "1.2.3.4.5"}) {
    CHECK_TEXT(!read_address(text), text);
  }
}

}  // namespace mqloop::websocket
