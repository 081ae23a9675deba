#include "core/tls/shared_keys.h"

#include <string>

#include <CppUTest/TestHarness.h>

#include "core/tls/peer_certificate.h"

namespace mqloop::tls {

namespace {

const std::string kKey(32, 'a');

std::string complaint(const std::string& text) {
  return std::string(SharedKeys::parse(text, "keys").status().message());
}

}  // namespace

TEST_GROUP(SharedKeys){};

TEST(SharedKeys, a_line_is_an_identity_and_its_key_in_hexadecimal) {
  const Result<SharedKeys> keys = SharedKeys::parse("# who\n\nsensor:00ff" + kKey + "\r\nother:" + kKey, "keys");
  CHECK(keys.ok());
  const std::span<const unsigned char> key = keys->find("sensor");
  LONGS_EQUAL(18, key.size());
  LONGS_EQUAL(0x00, key[0]);
  LONGS_EQUAL(0xff, key[1]);
  LONGS_EQUAL(0xaa, key[2]);
  LONGS_EQUAL(16, keys->find("other").size());
  CHECK(keys->find("nobody").empty());
  CHECK(keys->find("").empty());
  CHECK(keys->find("sensor:00ff").empty());
}

TEST(SharedKeys, an_empty_file_lets_nobody_in_and_is_a_mistake) {
  STRCMP_EQUAL("keys:1:1: there is no key in it: a line is IDENTITY:KEY", complaint("").c_str());
  STRCMP_EQUAL("keys:1:1: there is no key in it: a line is IDENTITY:KEY", complaint("# nobody\n").c_str());
}

TEST(SharedKeys, every_mistake_has_its_line_and_column) {
  STRCMP_EQUAL("keys:1:1: a line is IDENTITY:KEY\nkeys:3:1: the identity is empty",
               complaint("x\ngood:" + kKey + "\n:" + kKey + "\n").c_str());
  STRCMP_CONTAINS("keys:1:3: a key has 16 bytes at least", complaint("a:aabb").c_str());
  STRCMP_CONTAINS("keys:1:3: a key has two hexadecimal digits for each byte", complaint("a:" + kKey + "b").c_str());
  STRCMP_CONTAINS("keys:1:35: a key has hexadecimal digits only", complaint("a:" + kKey + "x0").c_str());
  STRCMP_CONTAINS("keys:1:3: a key has 512 bytes at most", complaint("a:" + std::string(1026, 'a')).c_str());
  STRCMP_CONTAINS("keys:2:1: this identity has a key already", complaint("a:" + kKey + "\na:" + kKey).c_str());
  STRCMP_CONTAINS("keys:1:1: an identity is UTF-8 without control characters", complaint("\x01:" + kKey).c_str());
}

TEST(SharedKeys, names_are_utf8_without_control_characters) {
  CHECK_TRUE(is_clean_text("sensor 7, Zürich"));
  CHECK_TRUE(is_clean_text("\xc2\xa0"));
  for (const std::string_view bad : {std::string_view("a\0b", 3), std::string_view("a\nb"), std::string_view("\x7f"),
                                     std::string_view("\xc2\x85"), std::string_view("\xff")}) {
    CHECK_FALSE(is_clean_text(bad));
  }
}

}  // namespace mqloop::tls
