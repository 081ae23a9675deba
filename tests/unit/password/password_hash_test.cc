#include "core/password/password_hash.h"

#include <string>

#include "core/password/key_derivation.h"
#include "tests/unit/password/mosquitto_lines.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::password;

namespace {

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    out += kDigits[static_cast<unsigned char>(byte) >> 4];
    out += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return out;
}

std::string derived(const Cost& cost, std::string_view password, std::string_view salt, std::size_t size) {
  std::string out(size, '\0');
  CHECK(derive_key(cost, password, salt, reinterpret_cast<unsigned char*>(out.data()), size));
  return hex(out);
}

PasswordHash parsed(std::string_view text) {
  ParseFault fault;
  const auto hash = parse_hash(text, fault);
  STRCMP_EQUAL("", fault.what.c_str());
  return hash.value_or(PasswordHash{});
}

}  // namespace

TEST_GROUP(PasswordHash){static void refused(std::string_view text, std::size_t at, const char* what){ParseFault fault;
CHECK(!parse_hash(text, fault));
STRCMP_EQUAL(what, fault.what.c_str());
LONGS_EQUAL(at, fault.at);
}
}
;

// ---- published vectors ---------------------------------------------------------------------------------------------

TEST(PasswordHash, scrypt_gives_the_vectors_of_rfc_7914) {
  STRCMP_EQUAL(
      "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
      "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
      derived({Scheme::kScrypt, 4, 1, 1}, "", "", 64).c_str());
  STRCMP_EQUAL(
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
      "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
      derived({Scheme::kScrypt, 10, 8, 16}, "password", "NaCl", 64).c_str());
}

TEST(PasswordHash, pbkdf2_gives_the_published_vector_of_hmac_sha_512) {
  STRCMP_EQUAL(
      "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252"
      "c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce",
      derived({Scheme::kPbkdf2, 1, 0, 0}, "password", "salt", 64).c_str());
}

TEST(PasswordHash, argon2id_gives_the_vector_of_its_reference_implementation) {
  const PasswordHash hash =
      parsed("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
  CHECK(check_password(hash, "password") == Match::kYes);
  CHECK(check_password(hash, "Password") == Match::kNo);
}

TEST(PasswordHash, what_mosquitto_passwd_wrote_is_understood) {
  for (const auto& line : password_test::kMosquittoLines) {
    const PasswordHash hash = parsed(line.hash);
    CHECK(check_password(hash, line.password) == Match::kYes);
    CHECK(check_password(hash, std::string(line.password) + 'x') == Match::kNo);
    CHECK(check_password(hash, "") == Match::kNo);
    CHECK(to_text(hash) == line.hash);
  }
}

// ---- what is written is read ---------------------------------------------------------------------------------------

TEST(PasswordHash, what_is_made_is_read_again_and_holds) {
  for (const Cost& cost :
       {Cost{Scheme::kPbkdf2, 3, 0, 0}, Cost{Scheme::kScrypt, 4, 8, 2}, Cost{Scheme::kArgon2id, 1, 16, 2}}) {
    auto made = make_hash(cost, "pässword \x01:$");
    CHECK(made.ok());
    const PasswordHash hash = parsed(to_text(*made));
    CHECK(hash.cost == cost);
    CHECK(check_password(hash, "pässword \x01:$") == Match::kYes);
    CHECK(check_password(hash, "pässword") == Match::kNo);
    CHECK(to_text(hash) == to_text(*made));
  }
}

TEST(PasswordHash, salt_for_mosquitto_has_the_one_size_that_it_takes) {
  LONGS_EQUAL(12, make_hash({Scheme::kPbkdf2, 1, 0, 0}, "x")->salt.size());
}

TEST(PasswordHash, two_hashes_of_one_password_differ) {
  const Cost cost{Scheme::kScrypt, 1, 1, 1};
  CHECK(to_text(*make_hash(cost, "same")) != to_text(*make_hash(cost, "same")));
}

TEST(PasswordHash, default_costs_are_within_bounds) {
  for (const Scheme scheme : {Scheme::kPbkdf2, Scheme::kScrypt, Scheme::kArgon2id}) {
    STRCMP_EQUAL("", fault_of(default_cost(scheme)).c_str());
    CHECK(scheme_of(name_of(scheme)) == scheme);
  }
}

TEST(PasswordHash, passwords_of_every_length_that_mqtt_knows_are_hashed) {
  for (const std::size_t size : {0U, 1U, 128U, 129U, 65535U}) {
    const std::string password(size, 'p');
    for (const Cost& cost :
         {Cost{Scheme::kPbkdf2, 1, 0, 0}, Cost{Scheme::kScrypt, 1, 1, 1}, Cost{Scheme::kArgon2id, 1, 8, 1}}) {
      CHECK(check_password(*make_hash(cost, password), password) == Match::kYes);
      CHECK(check_password(*make_hash(cost, password), password + 'p') == Match::kNo);
    }
  }
}

// ---- what is refused -----------------------------------------------------------------------------------------------

TEST(PasswordHash, plain_text_is_refused_and_not_repeated) {
  const char* const kPlain = "this is no hash, and passwords in plain text are refused";
  refused("hunter2", 0, kPlain);
  refused(" $7$1$c2FsdA==$x", 0, kPlain);
  refused("$1$not$known", 1, "unknown scheme: known are $6$, $7$, $scrypt$ and $argon2id$");
  refused("$ecret$", 1, "unknown scheme: known are $6$, $7$, $scrypt$ and $argon2id$");
  refused("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", 1,
          "unknown scheme: known are $6$, $7$, $scrypt$ and $argon2id$");
}

TEST(PasswordHash, absurd_parameters_are_refused) {
  const std::string rest = "$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  refused("$7$0$c2FsdA==$AAAA", 3, "the number of iterations is 0, and must be 1 to 10000000");
  refused("$7$10000001$c2FsdA==$AAAA", 3, "the number of iterations is 10000001, and must be 1 to 10000000");
  refused("$scrypt$ln=0,r=8,p=1" + rest, 8, "ln is 0, and must be 1 to 20");
  refused("$scrypt$ln=63,r=8,p=1" + rest, 8, "ln is 63, and must be 1 to 20");
  refused("$scrypt$ln=15,r=0,p=1" + rest, 8, "r is 0, and must be 1 to 32");
  refused("$scrypt$ln=15,r=8,p=17" + rest, 8, "p is 17, and must be 1 to 16");
  refused("$scrypt$ln=20,r=8,p=1" + rest, 8, "ln and r together ask for more than 256 MiB of memory");
  refused("$argon2id$v=19$m=7,t=1,p=1" + rest, 10, "m is 7, and must be 8 to 262144");
  refused("$argon2id$v=19$m=4194304,t=1,p=1" + rest, 10, "m is 4194304, and must be 8 to 262144");
  refused("$argon2id$v=19$m=64,t=0,p=1" + rest, 10, "t is 0, and must be 1 to 64");
  refused("$argon2id$v=19$m=64,t=1,p=0" + rest, 10, "p is 0, and must be 1 to 64");
  refused("$argon2id$v=16$m=64,t=1,p=1" + rest, 10, "only version 19 of argon2id is known, 'v=19$'");
}

TEST(PasswordHash, numbers_are_plain_decimals) {
  for (const char* number : {"", "+1", "-1", "01", " 1", "99999999999"}) {
    refused("$7$" + std::string(number) + "$c2FsdA==$AAAA", 3,
            "the number of iterations must be a decimal number without leading zeros");
  }
  refused("$7$1.5$c2FsdA==$AAAA", 4, "'$' is missing here");
  refused("$7$0x1$c2FsdA==$AAAA", 4, "'$' is missing here");
}

TEST(PasswordHash, salt_and_hash_have_their_sizes) {
  refused("$6$$AAAA", 3, "the salt: the number of bytes is 0, and must be 1 to 128");
  refused("$6$c2FsdA==", 11, "'$' and the hash are missing here");
  refused("$6$c2FsdA==$", 12, "the hash: the number of bytes is 0, and must be 64 to 64");
  refused("$6$c2FsdA==$AAAA", 12, "the hash: the number of bytes is 3, and must be 64 to 64");
  refused("$6$c2FsdA==$!", 12, "the hash is not base64");
  refused("$6$c2*sdA==$AAAA", 5, "the salt is not base64");
  refused("$scrypt$ln=1,r=1,p=1$c2FsdA$AAAA", 28, "the hash: the number of bytes is 3, and must be 16 to 128");
  refused("$argon2id$v=19$m=64,t=1,p=1$c2FsdA$AAAA", 28, "the salt: the number of bytes is 4, and must be 8 to 128");
  const std::string line(password_test::kMosquittoLines[0].hash);
  refused(line + "$", line.size(), "there is something after the hash");
  refused(line + " ", line.size() - 2, "the hash is not base64");
}

TEST(PasswordHash, every_truncation_of_every_scheme_is_refused) {
  for (const Cost& cost :
       {Cost{Scheme::kPbkdf2, 3, 0, 0}, Cost{Scheme::kScrypt, 4, 8, 2}, Cost{Scheme::kArgon2id, 1, 16, 2}}) {
    PasswordHash hash = *make_hash(cost, "x");
    if (cost.scheme != Scheme::kPbkdf2) hash.hash.resize(16);
    const std::string text = to_text(hash);
    parsed(text);
    for (std::size_t size = 0; size < text.size(); ++size) {
      ParseFault fault;
      CHECK(!parse_hash(std::string_view(text).substr(0, size), fault));
      CHECK(fault.at <= size);
      CHECK(!fault.what.empty());
    }
  }
}
