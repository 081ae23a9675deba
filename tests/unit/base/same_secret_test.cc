#include <string>
#include <string_view>

#include <mqloop/secret.h>

#include <CppUTest/TestHarness.h>

using namespace std::string_view_literals;
using mqloop::same_secret;

TEST_GROUP(SameSecret){};

TEST(SameSecret, equal_ones_are_the_same) {
  CHECK_TRUE(same_secret("", ""));
  CHECK_TRUE(same_secret("s3cret", "s3cret"));
  CHECK_TRUE(same_secret("a\0b"sv, "a\0b"sv));
}

TEST(SameSecret, a_difference_anywhere_counts) {
  const std::string secret = "a rather long secret";
  for (std::size_t i = 0; i < secret.size(); ++i) {
    for (const int bit : {1, 0x80}) {
      std::string other = secret;
      other[i] = static_cast<char>(other[i] ^ bit);
      CHECK_FALSE(same_secret(secret, other));
      CHECK_FALSE(same_secret(other, secret));
    }
  }
}

TEST(SameSecret, a_beginning_is_not_the_whole) {
  CHECK_FALSE(same_secret("s3cret", "s3cre"));
  CHECK_FALSE(same_secret("s3cre", "s3cret"));
  CHECK_FALSE(same_secret("", "s"));
  CHECK_FALSE(same_secret("s", ""));
  CHECK_FALSE(same_secret("ab", "ab\0"sv));
  CHECK_FALSE(same_secret("a\0b"sv, "a\0c"sv));
}
