// Lines that tell of refusals: one for each, with its cause, and never more than so many a minute of one client or
// address.
#include "core/broker/refusal_log.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::sim;
using namespace std::chrono_literals;
using broker::test::World;

constexpr MonotonicTime kStart{1000s};

// Keeps the lines of each level up to `most`.
class Kept final : public Log {
 public:
  [[nodiscard]] bool enabled(LogLevel level, std::string_view /*module*/) const noexcept override {
    return level <= most;
  }
  void write(LogLevel level, std::string_view /*module*/, std::string_view event,
             std::span<const LogField> fields) noexcept override {
    std::string line(event);
    for (const LogField& field : fields) line.append(" ").append(field.key).append("=").append(field.value);
    lines.emplace_back(level, std::move(line));
  }
  using Log::write;
  [[nodiscard]] std::size_t of(LogLevel level) const {
    std::size_t count = 0;
    for (const auto& [of, line] : lines) count += of == level ? 1 : 0;
    return count;
  }
  LogLevel most = LogLevel::kInfo;
  std::vector<std::pair<LogLevel, std::string>> lines;
};

// Lets in whose user name is `good`, and lets them publish to `open` alone.
class Doorkeeper final : public Plugin, public Authenticator, public Authorizer {
 public:
  Authenticator* authenticator() noexcept override { return this; }
  Authorizer* authorizer() noexcept override { return this; }
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (request.user_name == "good") return reply.accept();
    reply.reject(ReasonCode::kBadUserNameOrPassword, "unknown", "bad_password");
  }
  void authorize(const Access& access, AuthorizeReply reply) const override {
    if (access.topic == "open") return reply.allow();
    reply.deny("rule 7");
  }
};

}  // namespace

// ---- how many
// --------------------------------------------------------------------------------------------------------

TEST_GROUP(RefusalLog) {
  Kept kept;
  RefusalLog refusals{kept, HashSeed{1, 2}};

  void refuse(std::string_view peer, int times = 1, MonotonicTime now = kStart) {
    const LogField fields[] = {{"from", peer}};
    for (int i = 0; i != times; ++i) refusals.of_address(now, peer, "auth", "deny", fields);
  }
};

TEST(RefusalLog, ten_lines_a_minute_pass_and_the_next_tells_how_many_did_not) {
  refuse("10.0.0.1:5", 25);
  LONGS_EQUAL(10, kept.lines.size());
  refuse("10.0.0.1:6", 2, kStart + 61s);
  LONGS_EQUAL(12, kept.lines.size());
  STRCMP_EQUAL("deny from=10.0.0.1:6 left_out=15", kept.lines[10].second.c_str());
  STRCMP_EQUAL("deny from=10.0.0.1:6", kept.lines[11].second.c_str());
}

TEST(RefusalLog, those_left_out_are_written_at_level_debug) {
  kept.most = LogLevel::kDebug;
  refuse("10.0.0.1:5", 25);
  LONGS_EQUAL(10, kept.of(LogLevel::kInfo));
  LONGS_EQUAL(15, kept.of(LogLevel::kDebug));
}

TEST(RefusalLog, addresses_modules_and_clients_have_lines_of_their_own) {
  refuse("10.0.0.1:5", 25);
  refuse("10.0.0.2:5", 25);
  refuse("[2001:db8::1]:5", 25);
  LONGS_EQUAL(30, kept.lines.size());
  refuse("[2001:db8::2]:5", 25);  // of the same /64
  LONGS_EQUAL(30, kept.lines.size());
  refusals.of_address(kStart, "10.0.0.1:5", "connection", "closed", {});
  refusals.of_client(kStart, 77, "deny_publish", {});
  LONGS_EQUAL(32, kept.lines.size());
}

TEST(RefusalLog, beyond_those_that_it_remembers_all_others_share_one_allowance_until_some_are_forgotten) {
  for (std::uint64_t client = 1; client <= RefusalLog::kMost; ++client) {
    refusals.of_client(kStart, client, "deny_publish", {});
  }
  kept.lines.clear();
  refuse("10.0.0.1:5", 8);
  refuse("10.0.0.2:5", 8);
  LONGS_EQUAL(10, kept.lines.size());
  refuse("10.0.0.3:5", 8, kStart + 61s);
  refuse("10.0.0.4:5", 8, kStart + 61s);
  LONGS_EQUAL(26, kept.lines.size());
}

// ---- one for each
// ----------------------------------------------------------------------------------------------------

TEST_GROUP(Refusals) {
  Doorkeeper doorkeeper;
  World world;
  TranscriptClient client{world.broker.network(), "sensor7"};

  void setup() override {
    world.add(doorkeeper);
    world.start();
    world.broker.log().keep_lines();
  }
  // What was written, but for who came in and started.
  std::vector<std::string> lines() {
    std::vector<std::string> lines = world.broker.log().lines();
    std::erase_if(lines, [](const std::string& line) { return line.starts_with("connection connected"); });
    return lines;
  }
};

TEST(Refusals, a_client_that_is_not_let_in_is_one_line_with_the_plugin_and_its_reason) {
  client.connect({.user_name = "bad"});
  HEARS(client, "CONNACK 86 | closed");
  LONGS_EQUAL(1, lines().size());
  const std::string line = lines()[0];
  STRCMP_CONTAINS("auth deny client=sensor7 user=bad from=", line.c_str());
  STRCMP_CONTAINS("listener=local by=p1 reason=bad_password", line.c_str());
}

TEST(Refusals, a_will_that_is_denied_is_one_line_with_the_plugin_and_its_rule) {
  client.connect({.user_name = "good", .will_topic = "secret"});
  HEARS(client, "CONNACK 87 | closed");
  LONGS_EQUAL(1, lines().size());
  STRCMP_CONTAINS("auth deny_will client=sensor7 user=good", lines()[0].c_str());
  STRCMP_CONTAINS("topic=secret by=p1 rule=rule 7", lines()[0].c_str());
}

TEST(Refusals, what_is_no_connect_is_one_line) {
  client.open();
  const std::uint8_t nonsense[] = {0x00, 0x00};
  client.send_bytes(nonsense);
  HEARS(client, "closed");
  LONGS_EQUAL(1, lines().size());
  STRCMP_CONTAINS("connection closed client= from=", lines()[0].c_str());
}

TEST(Refusals, of_many_connects_from_one_address_some_are_told_and_the_rest_counted) {
  for (int i = 0; i != 25; ++i) {
    client.connect({.user_name = "bad"});
    HEARS(client, "CONNACK 86 | closed");
  }
  LONGS_EQUAL(10, lines().size());
  world.broker.pass(61s);
  client.connect({.user_name = "bad"});
  HEARS(client, "CONNACK 86 | closed");
  LONGS_EQUAL(11, lines().size());
  STRCMP_CONTAINS("left_out=15", lines()[10].c_str());
}

TEST(Refusals, of_many_publishes_of_one_client_some_are_told_and_the_rest_counted) {
  client.connect({.user_name = "good"});
  HEARS(client, "CONNACK 00");
  for (int i = 0; i != 25; ++i) client.publish("secret", "x");
  CHECK(world.broker.settle());
  LONGS_EQUAL(10, world.broker.log().lines("auth deny_publish client=sensor7").size());
  TranscriptClient other(world.broker.network(), "other");
  other.connect({.user_name = "good"});
  other.publish("secret", "x");
  CHECK(world.broker.settle());
  LONGS_EQUAL(1, world.broker.log().lines("auth deny_publish client=other").size());
  world.broker.pass(61s);
  client.publish("secret", "x");
  CHECK(world.broker.settle());
  LONGS_EQUAL(1, world.broker.log().lines("left_out=15").size());
}
