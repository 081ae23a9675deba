#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/base/utf8.h"

namespace mqloop {
namespace {

struct Case {
  const char* what;
  std::string bytes;
};

// The UTF-8 form of any number up to 0x7FFFFFFF in `length` bytes, overlong forms and surrogates included.
std::string forced(std::uint32_t point, int length) {
  if (length == 1) return {static_cast<char>(point)};
  std::string bytes(static_cast<std::size_t>(length), '\0');
  for (int i = length - 1; i > 0; --i, point >>= 6) {
    bytes[static_cast<std::size_t>(i)] = static_cast<char>(0x80 | (point & 0x3F));
  }
  bytes[0] = static_cast<char>((0xFF00 >> length) | point);
  return bytes;
}

}  // namespace

TEST_GROUP(Utf8){};

TEST(Utf8, takes_the_first_and_last_character_of_each_length) {
  for (const Case& c : std::vector<Case>{
           {"U+0001", forced(1, 1)},
           {"U+007F", forced(0x7F, 1)},
           {"U+0080", forced(0x80, 2)},
           {"U+07FF", forced(0x7FF, 2)},
           {"U+0800", forced(0x800, 3)},
           {"U+D7FF", forced(0xD7FF, 3)},
           {"U+E000", forced(0xE000, 3)},
           {"U+FFFF", forced(0xFFFF, 3)},
           {"U+10000", forced(0x10000, 4)},
           {"U+10FFFF", forced(0x10FFFF, 4)},
           {"U+FFFD", "\xEF\xBF\xBD"},
           {"kosme", "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"},
           {"nothing", ""},
       }) {
    CHECK_TEXT(is_utf8(c.bytes), c.what);
    CHECK_TEXT(is_utf8_without_nul(c.bytes), c.what);
    CHECK_TEXT(is_utf8("12345678" + c.bytes + "12345678"), c.what);
  }
}

TEST(Utf8, keeps_the_byte_order_mark_as_a_character_wherever_it_stands) {
  CHECK(is_utf8_without_nul("\xEF\xBB\xBF"));
  CHECK(is_utf8_without_nul("a\xEF\xBB\xBF/b"));
}

TEST(Utf8, takes_no_surrogate_single_or_paired) {
  for (std::uint32_t point = 0xD800; point <= 0xDFFF; ++point) CHECK_FALSE(is_utf8(forced(point, 3)));
  CHECK_FALSE(is_utf8("\xED\xA0\x80\xED\xB0\x80"));
}

TEST(Utf8, takes_no_overlong_form) {
  CHECK_FALSE(is_utf8("\xC0\xAF"));
  CHECK_FALSE(is_utf8("\xE0\x80\xAF"));
  CHECK_FALSE(is_utf8("\xF0\x80\x80\xAF"));
  CHECK_FALSE(is_utf8("\xF8\x80\x80\x80\xAF"));
  CHECK_FALSE(is_utf8("\xFC\x80\x80\x80\x80\xAF"));
  CHECK_FALSE(is_utf8("\xC1\xBF"));
  CHECK_FALSE(is_utf8("\xE0\x9F\xBF"));
  CHECK_FALSE(is_utf8("\xF0\x8F\xBF\xBF"));
  CHECK_FALSE(is_utf8(forced(0, 2)));
  CHECK_FALSE(is_utf8(forced(0, 3)));
  CHECK_FALSE(is_utf8(forced(0, 4)));
}

TEST(Utf8, takes_nothing_above_10FFFF_and_no_byte_that_never_stands_in_it) {
  CHECK_FALSE(is_utf8(forced(0x110000, 4)));
  CHECK_FALSE(is_utf8(forced(0x1FFFFF, 4)));
  CHECK_FALSE(is_utf8(forced(0x200000, 5)));
  CHECK_FALSE(is_utf8(forced(0x4000000, 6)));
  CHECK_FALSE(is_utf8("\xFE"));
  CHECK_FALSE(is_utf8("\xFF"));
}

TEST(Utf8, takes_no_continuation_alone_and_no_lead_byte_without_its_followers) {
  for (int byte = 0x80; byte < 0xC0; ++byte) CHECK_FALSE(is_utf8(std::string(1, static_cast<char>(byte))));
  for (int byte = 0xC0; byte < 0x100; ++byte) {
    CHECK_FALSE(is_utf8(std::string(1, static_cast<char>(byte))));
    CHECK_FALSE(is_utf8(std::string(1, static_cast<char>(byte)) + " "));
  }
  for (const std::string& whole : {forced(0x7FF, 2), forced(0xFFFF, 3), forced(0x10FFFF, 4)}) {
    for (std::size_t size = 1; size < whole.size(); ++size) {
      CHECK_FALSE(is_utf8(whole.substr(0, size)));
      CHECK_FALSE(is_utf8(whole.substr(0, size) + "x"));
    }
  }
}

TEST(Utf8, agrees_with_the_plain_rule_on_every_code_point) {
  for (std::uint32_t point = 0; point <= 0x10FFFF; ++point) {
    const int length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    if (is_utf8(forced(point, length)) == surrogate) FAIL(std::to_string(point).c_str());
  }
}

TEST(Utf8, with_U_0000_is_no_mqtt_string) {
  CHECK(is_utf8(std::string(1, '\0')));
  CHECK_FALSE(is_utf8_without_nul(std::string(1, '\0')));
  CHECK_FALSE(is_utf8_without_nul(std::string("12345678\0", 9)));
  CHECK_FALSE(is_utf8_without_nul(std::string("\0xxxxxxxxx", 10)));
}

TEST(Utf8, prefix_ends_before_the_first_bad_byte) {
  LONGS_EQUAL(0, utf8_prefix_length("\xFF"));
  LONGS_EQUAL(3, utf8_prefix_length("abc\xC3"));
  LONGS_EQUAL(5, utf8_prefix_length("abc\xC3\xA9"));
  LONGS_EQUAL(12, utf8_prefix_length("0123456789ab\x80zzzzzzzzzzzz"));
}

}  // namespace mqloop
