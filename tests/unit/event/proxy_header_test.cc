// The table of good and bad headers of the PROXY protocol, each in one piece, byte by byte, and with something behind
// it.
#include "core/event/proxy_header.h"

#include <string>
#include <string_view>

#include <CppUTest/TestHarness.h>

namespace mqloop::event {

namespace {

using namespace std::string_literals;
using Version = ProxyProtocol::Version;
using State = ProxyHeaderParser::State;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// "needs more", "refused: why", or what the header says.
std::string verdict(const ProxyHeaderParser& parser) {
  if (parser.state() == State::kNeedsMore) return "needs more";
  if (parser.state() == State::kRefused) return "refused: " + std::string(parser.refusal());
  const ProxyHeader& header = parser.header();
  std::string text = header.kind == ProxyHeader::Kind::kLocal     ? "local"
                     : header.kind == ProxyHeader::Kind::kUnknown ? "unknown"
                                                                  : "client " + header.address;
  if (header.is_encrypted) text += " tls";
  if (header.certificate) {
    text += header.certificate->is_verified ? " verified=" : " unverified=";
    text += header.certificate->common_name;
  }
  return text;
}

std::string in_one_piece(std::string_view header, Version taken = Version::kAny) {
  ProxyHeaderParser parser(taken);
  LONGS_EQUAL(header.size(), parser.feed(bytes_of(header)));
  return verdict(parser);
}

// All ways to cut it must end alike; what is behind it stays.
void check(const std::string& expected, const std::string& header) {
  STRCMP_EQUAL(expected.c_str(), in_one_piece(header).c_str());
  ProxyHeaderParser slow(Version::kAny);
  for (std::size_t i = 0; i != header.size(); ++i) {
    CHECK(slow.state() == State::kNeedsMore);
    LONGS_EQUAL(1, slow.feed(bytes_of(header).subspan(i, 1)));
  }
  STRCMP_EQUAL(expected.c_str(), verdict(slow).c_str());
  ProxyHeaderParser with_more(Version::kAny);
  const std::string followed = header + "\x10\x0d";
  LONGS_EQUAL(header.size(), with_more.feed(bytes_of(followed)));
  STRCMP_EQUAL(expected.c_str(), verdict(with_more).c_str());
}

// Whatever it is cut into, at the latest its last byte has it refused.
void check_refused(const std::string& why, const std::string& header) {
  ProxyHeaderParser parser(Version::kAny);
  CHECK(parser.feed(bytes_of(header)) <= header.size());
  STRCMP_EQUAL(("refused: " + why).c_str(), verdict(parser).c_str());
  ProxyHeaderParser slow(Version::kAny);
  for (std::size_t i = 0; i != header.size() && slow.state() == State::kNeedsMore; ++i) {
    LONGS_EQUAL(1, slow.feed(bytes_of(header).subspan(i, 1)));
  }
  STRCMP_EQUAL(("refused: " + why).c_str(), verdict(slow).c_str());
  LONGS_EQUAL(0, slow.feed(bytes_of("more")));
}

std::string number16(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)}; }

std::string binary(std::uint8_t command, std::uint8_t family, const std::string& rest) {
  return "\r\n\r\n\0\r\nQUIT\n"s + static_cast<char>(command) + static_cast<char>(family) + number16(rest.size()) +
         rest;
}

std::string option(std::uint8_t type, const std::string& value) {
  return static_cast<char>(type) + number16(value.size()) + value;
}

// 192.0.2.1:51234 to 198.51.100.2:1883
const std::string kV4 = "\xC0\x00\x02\x01\xC6\x33\x64\x02\xC8\x22\x07\x5B"s;
const std::string kV6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + '\1' + "\x20\x01\x0d\xb8"s +
                        std::string(11, '\0') + '\2' + "\xC8\x22\x07\x5B"s;

std::string with_options(const std::string& options) { return binary(0x21, 0x11, kV4 + options); }

// `client`: 1 TLS, 2 a certificate now, 4 one in the session.
std::string tls(std::uint8_t client, std::uint32_t verify, const std::string& options = {}) {
  return option(0x20, static_cast<char>(client) + number16(verify >> 16) + number16(verify & 0xFFFF) + options);
}

constexpr std::string_view kNoAddresses = "the PROXY line does not name two addresses and two ports";
constexpr std::string_view kBadOptions = "the options of the PROXY header are malformed";
constexpr std::string_view kBadTls = "what the PROXY header says of TLS is malformed";

}  // namespace

TEST_GROUP(ProxyHeader){};

TEST(ProxyHeader, a_line_tells_the_client) {
  check("client 192.0.2.1:51234", "PROXY TCP4 192.0.2.1 198.51.100.2 51234 1883\r\n");
  check("client 0.0.0.0:0", "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n");
  check("client [2001:db8::1]:51234", "PROXY TCP6 2001:db8::1 2001:db8::2 51234 1883\r\n");
  check("client 192.0.2.1:1", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 65535\r\n");
}

TEST(ProxyHeader, a_line_of_whom_is_unknown_may_say_anything) {
  check("unknown", "PROXY UNKNOWN\r\n");
  check("unknown", "PROXY UNKNOWN ffff::1 whatever 65535 65535\r\n");
  check("unknown", "PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n");
}

TEST(ProxyHeader, a_line_that_is_not_as_the_protocol_says_is_refused) {
  for (const char* line :
       {"TCP4 192.0.2.1 198.51.100.2 51234", "TCP4 192.0.2.1 198.51.100.2 51234 1883 9",
        "TCP4 192.0.2.1 198.51.100.2 051234 1883", "TCP4 192.0.2.1 198.51.100.2 65536 1883",
        "TCP4 192.0.2.1 198.51.100.2 +1 1883", "TCP4 192.0.2.1 198.51.100.2 -1 1883",
        "TCP4 192.0.2.1 198.51.100.2  1 1883", "TCP4  192.0.2.1 198.51.100.2 1 1883",
        "TCP4 192.0.2.1 198.51.100.2 1 1883 ", "TCP4 2001:db8::1 2001:db8::2 1 1883",
        "TCP6 192.0.2.1 198.51.100.2 1 1883", "TCP4 192.0.2.256 198.51.100.2 1 1883", "TCP4 192.0.2.1 localhost 1 1883",
        "TCP4 192.0.2.01 198.51.100.2 1 1883", "TCP4", "TCP4 ", "TCP6 ::1"}) {
    check_refused(std::string(kNoAddresses), "PROXY " + std::string(line) + "\r\n");
  }
  for (const char* line : {"", "TCP5 1 2 3 4", "tcp4 192.0.2.1 198.51.100.2 1 2", "UNKNOWNS", "UDP4 1 2 3 4"}) {
    check_refused("the PROXY line names neither TCP4 nor TCP6", "PROXY " + std::string(line) + "\r\n");
  }
  check_refused("the PROXY line does not end with CR LF", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n");
  check_refused("the PROXY line has a NUL in it", "PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n"s);
  check_refused("the PROXY line does not end within 107 bytes", "PROXY UNKNOWN " + std::string(107 - 14, 'x'));
}

TEST(ProxyHeader, what_is_no_header_is_refused_with_its_first_wrong_byte) {
  for (const std::string& bytes : {"\x10\x0d\0\4MQTT"s, "GET / HTTP/1.1\r\n"s, "PROXZ"s, "PROXY\t"s,
                                   "\r\n\r\n\0\r\nQUIT\r"s, "\r\n\r\n\1"s, "\r\r"s, "\x16\x03\x01"s}) {
    check_refused("what came is no PROXY header", bytes);
  }
}

TEST(ProxyHeader, a_beginning_needs_more) {
  for (const std::string& header : {"PROXY TCP4 192.0.2.1 198.51.100.2 51234 1883\r\n"s, binary(0x21, 0x11, kV4)}) {
    for (std::size_t size = 0; size != header.size(); ++size) {
      STRCMP_EQUAL("needs more", in_one_piece(header.substr(0, size)).c_str());
    }
  }
}

TEST(ProxyHeader, version_2_tells_the_client) {
  check("client 192.0.2.1:51234", binary(0x21, 0x11, kV4));
  check("client [2001:db8::1]:51234", binary(0x21, 0x21, kV6));
  check("client unix", binary(0x21, 0x31, "/run/client" + std::string(216 - 11, '\0')));
}

TEST(ProxyHeader, version_2_of_another_kind_of_socket_tells_no_address) {
  check("unknown", binary(0x21, 0x00, ""));
  check("unknown", binary(0x21, 0x12, kV4));
  check("unknown", binary(0x21, 0x10, kV4));
  check("unknown", binary(0x21, 0x22, kV6));
}

TEST(ProxyHeader, a_proxy_that_speaks_for_itself_is_local_whatever_follows) {
  check("local", binary(0x20, 0x00, ""));
  check("local", binary(0x20, 0x11, kV4 + "junk"));
  check("local", binary(0x20, 0x11, "too short"));
}

TEST(ProxyHeader, version_2_that_is_not_as_the_protocol_says_is_refused) {
  for (const std::uint8_t command : {0x11, 0x22, 0x2F, 0x31, 0x01, 0xFF}) {
    check_refused("a PROXY header of an unknown version or command", binary(command, 0x11, kV4));
  }
  for (const std::uint8_t family : {0x41, 0x13, 0xF1, 0x1F, 0xFF}) {
    check_refused("a PROXY header of an unknown family", binary(0x21, family, kV4));
  }
  check_refused("the PROXY header has no room for its addresses", binary(0x21, 0x11, kV4.substr(1)));
  check_refused("the PROXY header has no room for its addresses", binary(0x21, 0x21, kV6.substr(1)));
  check_refused("the PROXY header has no room for its addresses", binary(0x21, 0x31, std::string(215, 'x')));
}

TEST(ProxyHeader, a_header_beyond_the_largest_is_refused_before_it_has_come) {
  const std::string largest = with_options(option(0x04, std::string(8192 - 16 - 12 - 3, '\0')));
  LONGS_EQUAL(8192, largest.size());
  check("client 192.0.2.1:51234", largest);
  const std::string larger = with_options(option(0x04, std::string(8192 - 16 - 12 - 2, '\0')));
  check_refused("the PROXY header is longer than 8192 bytes", larger.substr(0, 16));
}

TEST(ProxyHeader, options_that_mean_nothing_here_are_left_alone) {
  check("client 192.0.2.1:51234",
        with_options(option(0x05, std::string(128, 'u')) + option(0x01, "mqtt") + option(0x02, "broker.example") +
                     option(0xEA, "\1vpce") + option(0x30, "")));
}

TEST(ProxyHeader, options_that_are_cut_are_refused) {
  for (const std::string& options : {"\x04"s, "\x04\0"s, "\x04\0\2x"s, option(0x04, "x") + "\xEA\xFF\xFF"s}) {
    check_refused(std::string(kBadOptions), with_options(options));
  }
}

TEST(ProxyHeader, tells_the_certificate_that_the_proxy_was_shown) {
  check("client 192.0.2.1:51234 tls verified=sensor7", with_options(tls(3, 0, option(0x22, "sensor7"))));
  check("client 192.0.2.1:51234 tls verified=sensor7",
        with_options(tls(5, 0, option(0x21, "TLSv1.3") + option(0x22, "sensor7") + option(0x23, "any"))));
  check("client 192.0.2.1:51234 tls unverified=sensor7", with_options(tls(7, 1, option(0x22, "sensor7"))));
  check("client 192.0.2.1:51234 tls unverified=sensor7", with_options(tls(7, 0x01000000, option(0x22, "sensor7"))));
  check("client 192.0.2.1:51234 tls verified=", with_options(tls(3, 0)));
  check("client 192.0.2.1:51234 tls verified=S\xC3\xBC\xC3\x9F",
        with_options(tls(3, 0, option(0x22, "S\xC3\xBC\xC3\x9F"))));
}

TEST(ProxyHeader, emqx_17309_no_control_character_and_no_length_beyond_the_end_gets_through) {
  for (int control = 0; control != 0x20; ++control) {
    const std::string name = std::string("sensor") + static_cast<char>(control) + '7';
    check_refused(std::string(kBadTls), with_options(tls(3, 0, option(0x22, name))));
  }
  check_refused(std::string(kBadTls), with_options(tls(3, 0, option(0x22, "sensor\x7F"))));
  check_refused(std::string(kBadTls), with_options(tls(3, 0, "\x22\0\x09sensor7"s)));
  check_refused(std::string(kBadOptions), with_options("\x20\1\0"s + std::string(255, '\1')));
}

TEST(ProxyHeader, a_name_without_a_certificate_is_no_identity) {
  check("client 192.0.2.1:51234 tls", with_options(tls(1, 0, option(0x22, "admin"))));
  check("client 192.0.2.1:51234", with_options(tls(6, 0, option(0x22, "admin"))));
  check("client 192.0.2.1:51234", with_options(option(0x22, "admin")));
}

TEST(ProxyHeader, what_is_malformed_about_tls_is_refused) {
  for (const std::string& options :
       {option(0x20, ""), option(0x20, "\1\0\0\0"s), tls(3, 0, "\x22\0"s), tls(3, 0, "\x22\0\5abcd"s),
        tls(3, 0, option(0x22, "a") + option(0x22, "b")), tls(3, 0, option(0x22, "a\0b"s)),
        tls(3, 0, option(0x22, "a\nb")), tls(3, 0, option(0x22, "\xFF"))}) {
    check_refused(std::string(kBadTls), with_options(options));
  }
  check_refused(std::string(kBadOptions), with_options(tls(3, 0) + tls(3, 0)));
}

// The checksum of "123456789" is 0xE3069283: that of the whole header below was computed by the same rule elsewhere.
TEST(ProxyHeader, a_checksum_must_be_right_where_there_is_one) {
  const auto crc = [](std::string_view text) {
    std::uint32_t sum = 0xFFFFFFFFU;
    for (const char c : text) {
      sum ^= static_cast<std::uint8_t>(c);
      for (int bit = 0; bit != 8; ++bit) sum = (sum & 1U) != 0 ? (sum >> 1) ^ 0x82F63B78U : sum >> 1;
    }
    return ~sum;
  };
  CHECK(crc("123456789") == 0xE3069283U);
  std::string header = with_options(option(0x04, "pad") + option(0x03, std::string(4, '\0')) + option(0x04, "more"));
  const std::uint32_t sum = crc(header);
  const std::size_t at = header.size() - 7 - 4;
  header.replace(at, 4, number16(sum >> 16) + number16(sum & 0xFFFF));
  check("client 192.0.2.1:51234", header);
  header[at] = static_cast<char>(header[at] ^ 1);
  check_refused("the checksum of the PROXY header is wrong", header);
  check_refused("the checksum of the PROXY header is wrong", with_options(option(0x03, "abc")));
}

TEST(ProxyHeader, a_version_that_is_not_taken_is_refused_with_its_first_byte) {
  const std::string line = "PROXY UNKNOWN\r\n";
  const std::string v2 = binary(0x21, 0x11, kV4);
  STRCMP_EQUAL("unknown", in_one_piece(line, Version::kV1).c_str());
  STRCMP_EQUAL("client 192.0.2.1:51234", in_one_piece(v2, Version::kV2).c_str());
  STRCMP_EQUAL("refused: a PROXY header of a version that is not taken here", in_one_piece("P", Version::kV2).c_str());
  STRCMP_EQUAL("refused: a PROXY header of a version that is not taken here", in_one_piece("\r", Version::kV1).c_str());
}

}  // namespace mqloop::event
