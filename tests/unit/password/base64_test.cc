#include "core/password/base64.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop::password;

TEST_GROUP(Base64){static void both_ways(std::string_view bytes, std::string_view padded, std::string_view unpadded){
    CHECK(encode_base64(bytes, Padding::kEquals) == padded);
CHECK(encode_base64(bytes, Padding::kNone) == unpadded);
for (const Padding padding : {Padding::kEquals, Padding::kNone}) {
  const Decoded decoded = decode_base64(padding == Padding::kEquals ? padded : unpadded, padding);
  CHECK(decoded.fault == Decoded::kNoFault);
  CHECK(decoded.bytes == bytes);
}
}
static void fault_at(std::size_t at, std::string_view text, Padding padding) {
  LONGS_EQUAL(at, decode_base64(text, padding).fault);
}
}
;

TEST(Base64, vectors_of_rfc_4648) {
  both_ways("", "", "");
  both_ways("f", "Zg==", "Zg");
  both_ways("fo", "Zm8=", "Zm8");
  both_ways("foo", "Zm9v", "Zm9v");
  both_ways("foob", "Zm9vYg==", "Zm9vYg");
  both_ways("fooba", "Zm9vYmE=", "Zm9vYmE");
  both_ways("foobar", "Zm9vYmFy", "Zm9vYmFy");
}

TEST(Base64, every_byte_comes_back) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  for (std::size_t size = 0; size <= all.size(); ++size) {
    for (const Padding padding : {Padding::kEquals, Padding::kNone}) {
      const std::string bytes = all.substr(all.size() - size);
      const Decoded decoded = decode_base64(encode_base64(bytes, padding), padding);
      CHECK(decoded.fault == Decoded::kNoFault);
      CHECK(decoded.bytes == bytes);
    }
  }
}

TEST(Base64, one_value_has_one_spelling) {
  fault_at(1, "Zh==", Padding::kEquals);  // bits left over
  fault_at(1, "Zh", Padding::kNone);
  fault_at(2, "Zm9=", Padding::kEquals);
  fault_at(2, "Zg", Padding::kEquals);  // padding is missing
  fault_at(3, "Zg=", Padding::kEquals);
  fault_at(2, "Zg==", Padding::kNone);  // padding where there is none
  fault_at(1, "Z===", Padding::kEquals);
  fault_at(0, "====", Padding::kEquals);
  fault_at(1, "Z", Padding::kNone);
  fault_at(5, "Zm9vZ", Padding::kNone);
  fault_at(5, "Zm9vY", Padding::kEquals);
}

TEST(Base64, other_characters_are_refused_where_they_stand) {
  fault_at(0, " Zm9", Padding::kNone);
  fault_at(2, "Zm\n9v", Padding::kNone);
  fault_at(3, "Zm9-", Padding::kEquals);
  fault_at(3, "Zm9_", Padding::kEquals);
  fault_at(2, "Zm=v", Padding::kEquals);
  fault_at(1, "Z\xC3m9", Padding::kNone);
  fault_at(2, std::string_view("Zm\0v", 4), Padding::kNone);
}
