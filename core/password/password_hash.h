// What is kept of a password: the scheme, what it costs, a salt and a hash; and the check whether a password is the
// one. The text form is what a password file holds after the colon:
//
//   kSha512    $6$SALT$HASH                            mosquitto 1.x: one SHA-512 of password and salt; read only
//   kPbkdf2    $7$ITERATIONS$SALT$HASH                 mosquitto 2.0: PBKDF2 with HMAC-SHA-512
//   kScrypt    $scrypt$ln=15,r=8,p=1$SALT$HASH         mqloop's own; RFC 7914 in the notation of PHC, N = 2^ln
//   kArgon2id  $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH    mosquitto 2.1; RFC 9106
//
// SALT and HASH are base64, with padding in the first two. A value type; any thread. Invariant: cost, salt and hash are
// within the bounds that parse_hash() holds, so no check can take for ever or all memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <mqloop/status.h>

namespace mqloop::password {

enum class Scheme : std::uint8_t { kSha512, kPbkdf2, kScrypt, kArgon2id };

// The words of `mqloop passwd -H`, which for two of them are those of mosquitto_passwd.
[[nodiscard]] std::string_view name_of(Scheme scheme) noexcept;
[[nodiscard]] std::optional<Scheme> scheme_of(std::string_view name) noexcept;

struct Cost {
  Scheme scheme = Scheme::kScrypt;
  std::uint32_t rounds = 0;  // kPbkdf2: iterations; kScrypt: ln, the logarithm of N; kArgon2id: t, passes
  std::uint32_t memory = 0;  // kScrypt: r, the block size; kArgon2id: m, KiB
  std::uint32_t lanes = 0;   // kScrypt, kArgon2id: p

  friend bool operator==(const Cost&, const Cost&) = default;
};

// What a new entry costs when nobody chooses: some 50 ms.
[[nodiscard]] Cost default_cost(Scheme scheme) noexcept;
// Why this cost is out of bounds; empty when it is not.
[[nodiscard]] std::string fault_of(const Cost& cost);

struct PasswordHash {
  Cost cost;
  std::string salt;
  std::string hash;
};

// What is wrong with a text, and where in it. `what` never quotes the text: it could be a password.
struct ParseFault {
  std::size_t at = 0;
  std::string what;
};

[[nodiscard]] std::optional<PasswordHash> parse_hash(std::string_view text, ParseFault& fault);
[[nodiscard]] std::string to_text(const PasswordHash& hash);

// With a new salt.
[[nodiscard]] Result<PasswordHash> make_hash(const Cost& cost, std::string_view password);

enum class Match : std::uint8_t {
  kNo,
  kYes,
  kFailed,  // no memory for it: nothing is known
};
// Takes the time and the memory that `hash.cost` says, whatever the answer: not on a reactor.
[[nodiscard]] Match check_password(const PasswordHash& hash, std::string_view password);

}  // namespace mqloop::password
