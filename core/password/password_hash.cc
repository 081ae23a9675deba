#include "core/password/password_hash.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/password/base64.h"
#include "core/password/key_derivation.h"

namespace mqloop::password {

namespace {

constexpr std::size_t kMostSalt = 128;
constexpr std::size_t kLeastHash = 16;
constexpr std::size_t kMostHash = 128;
constexpr std::size_t kSha512Size = 64;
constexpr std::uint64_t kMostMemory = std::uint64_t{256} << 20;

constexpr std::size_t kNewSalt = 16;
constexpr std::size_t kMosquittosSalt = 12;  // mosquitto 2.0 takes no other
constexpr std::size_t kNewHash = 32;

constexpr std::pair<Scheme, std::string_view> kNames[] = {{Scheme::kSha512, "sha512"},
                                                          {Scheme::kPbkdf2, "sha512-pbkdf2"},
                                                          {Scheme::kScrypt, "scrypt"},
                                                          {Scheme::kArgon2id, "argon2id"}};

bool is_mosquittos(Scheme scheme) noexcept { return scheme == Scheme::kSha512 || scheme == Scheme::kPbkdf2; }

Padding padding_of(Scheme scheme) noexcept { return is_mosquittos(scheme) ? Padding::kEquals : Padding::kNone; }

std::string out_of(std::string_view what, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value >= least && value <= most) return {};
  return std::string(what) + " is " + std::to_string(value) + ", and must be " + std::to_string(least) + " to " +
         std::to_string(most);
}

// Reads a text from the left, and remembers the first fault.
class Reader {
 public:
  Reader(std::string_view text, ParseFault& fault) : text_(text), fault_(fault) {}

  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool expect(std::string_view word, std::string_view what) { return take(word) || fail(std::string(what)); }
  // A decimal number without sign or leading zero.
  bool number(std::uint32_t& out, std::string_view what) {
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), out);
    const bool plain = error == std::errc() && (*begin != '0' || end == begin + 1);
    if (!plain) return fail(std::string(what) + " must be a decimal number without leading zeros");
    at_ += static_cast<std::size_t>(end - begin);
    return true;
  }
  // Base64 up to the next `$` or the end.
  bool bytes(std::string& out, Padding padding, std::size_t least, std::size_t most, std::string_view what) {
    const std::size_t begin = at_;
    const std::size_t size = std::min(text_.find('$', at_), text_.size()) - at_;
    Decoded decoded = decode_base64(text_.substr(begin, size), padding);
    if (decoded.fault != Decoded::kNoFault) {
      at_ += decoded.fault;
      return fail("the " + std::string(what) + " is not base64");
    }
    const std::string range = out_of("the number of bytes", decoded.bytes.size(), least, most);
    if (!range.empty()) return fail("the " + std::string(what) + ": " + range);
    at_ += size;
    out = std::move(decoded.bytes);
    return true;
  }
  bool end() { return at_ == text_.size() || fail("there is something after the hash"); }
  bool fail(std::string what) {
    fault_ = {at_, std::move(what)};
    return false;
  }
  [[nodiscard]] std::size_t position() const noexcept { return at_; }

 private:
  std::string_view text_;
  ParseFault& fault_;
  std::size_t at_ = 0;
};

bool read_cost(Reader& reader, Cost& cost) {
  switch (cost.scheme) {
    case Scheme::kSha512:
      return true;
    case Scheme::kPbkdf2:
      return reader.number(cost.rounds, "the number of iterations") && reader.expect("$", "'$' is missing here");
    case Scheme::kScrypt:
      return reader.expect("ln=", "'ln=' is missing here") && reader.number(cost.rounds, "ln") &&
             reader.expect(",r=", "',r=' is missing here") && reader.number(cost.memory, "r") &&
             reader.expect(",p=", "',p=' is missing here") && reader.number(cost.lanes, "p") &&
             reader.expect("$", "'$' is missing here");
    case Scheme::kArgon2id:
      return reader.expect("v=19$", "only version 19 of argon2id is known, 'v=19$'") &&
             reader.expect("m=", "'m=' is missing here") && reader.number(cost.memory, "m") &&
             reader.expect(",t=", "',t=' is missing here") && reader.number(cost.rounds, "t") &&
             reader.expect(",p=", "',p=' is missing here") && reader.number(cost.lanes, "p") &&
             reader.expect("$", "'$' is missing here");
  }
  return false;
}

bool read_scheme(Reader& reader, Scheme& scheme) {
  constexpr std::pair<std::string_view, Scheme> kPrefixes[] = {{"$6$", Scheme::kSha512},
                                                               {"$7$", Scheme::kPbkdf2},
                                                               {"$scrypt$", Scheme::kScrypt},
                                                               {"$argon2id$", Scheme::kArgon2id}};
  for (const auto& [prefix, known] : kPrefixes) {
    if (!reader.take(prefix)) continue;
    scheme = known;
    return true;
  }
  if (reader.take("$")) return reader.fail("unknown scheme: known are $6$, $7$, $scrypt$ and $argon2id$");
  return reader.fail("this is no hash, and passwords in plain text are refused");
}

std::string cost_text(const Cost& cost) {
  const std::string rounds = std::to_string(cost.rounds);
  const std::string memory = std::to_string(cost.memory);
  const std::string lanes = std::to_string(cost.lanes);
  switch (cost.scheme) {
    case Scheme::kSha512:
      return "$6$";
    case Scheme::kPbkdf2:
      return "$7$" + rounds + '$';
    case Scheme::kScrypt:
      return "$scrypt$ln=" + rounds + ",r=" + memory + ",p=" + lanes + '$';
    case Scheme::kArgon2id:
      return "$argon2id$v=19$m=" + memory + ",t=" + rounds + ",p=" + lanes + '$';
  }
  return {};
}

}  // namespace

std::string_view name_of(Scheme scheme) noexcept {
  for (const auto& [known, name] : kNames) {
    if (known == scheme) return name;
  }
  return {};
}

std::optional<Scheme> scheme_of(std::string_view name) noexcept {
  for (const auto& [scheme, known] : kNames) {
    if (known == name) return scheme;
  }
  return std::nullopt;
}

Cost default_cost(Scheme scheme) noexcept {
  switch (scheme) {
    case Scheme::kSha512:
      break;
    case Scheme::kPbkdf2:
      return {scheme, 210'000, 0, 0};
    case Scheme::kScrypt:
      return {scheme, 15, 8, 1};
    case Scheme::kArgon2id:
      return {scheme, 2, 19'456, 1};
  }
  return {scheme, 0, 0, 0};
}

std::string fault_of(const Cost& cost) {
  std::string fault;
  const auto hold = [&fault](std::string_view what, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
    if (fault.empty()) fault = out_of(what, value, least, most);
  };
  switch (cost.scheme) {
    case Scheme::kSha512:
      break;
    case Scheme::kPbkdf2:
      hold("the number of iterations", cost.rounds, 1, 10'000'000);
      break;
    case Scheme::kScrypt:
      hold("ln", cost.rounds, 1, 20);
      hold("r", cost.memory, 1, 32);
      hold("p", cost.lanes, 1, 16);
      if (fault.empty() && scrypt_memory(cost) > kMostMemory + (std::uint64_t{1} << 20)) {
        fault = "ln and r together ask for more than 256 MiB of memory";
      }
      break;
    case Scheme::kArgon2id:
      hold("p", cost.lanes, 1, 64);
      hold("m", cost.memory, std::uint64_t{8} * cost.lanes, kMostMemory >> 10);
      hold("t", cost.rounds, 1, 64);
      break;
  }
  return fault;
}

std::optional<PasswordHash> parse_hash(std::string_view text, ParseFault& fault) {
  PasswordHash out;
  Reader reader(text, fault);
  if (!read_scheme(reader, out.cost.scheme)) return std::nullopt;
  const std::size_t cost_begins = reader.position();
  if (!read_cost(reader, out.cost)) return std::nullopt;
  if (std::string absurd = fault_of(out.cost); !absurd.empty()) {
    fault = {cost_begins, std::move(absurd)};
    return std::nullopt;
  }
  const Scheme scheme = out.cost.scheme;
  const bool mosquittos = is_mosquittos(scheme);
  const std::size_t least_salt = scheme == Scheme::kArgon2id ? 8 : 1;
  const bool read = reader.bytes(out.salt, padding_of(scheme), least_salt, kMostSalt, "salt") &&
                    reader.expect("$", "'$' and the hash are missing here") &&
                    reader.bytes(out.hash, padding_of(scheme), mosquittos ? kSha512Size : kLeastHash,
                                 mosquittos ? kSha512Size : kMostHash, "hash") &&
                    reader.end();
  if (!read) return std::nullopt;
  return out;
}

std::string to_text(const PasswordHash& hash) {
  const Padding padding = padding_of(hash.cost.scheme);
  return cost_text(hash.cost) + encode_base64(hash.salt, padding) + '$' + encode_base64(hash.hash, padding);
}

Result<PasswordHash> make_hash(const Cost& cost, std::string_view password) {
  if (const std::string fault = fault_of(cost); !fault.empty()) return invalid_argument(fault);
  PasswordHash out;
  out.cost = cost;
  const bool mosquittos = is_mosquittos(cost.scheme);
  out.salt.resize(mosquittos ? kMosquittosSalt : kNewSalt);
  out.hash.resize(mosquittos ? kSha512Size : kNewHash);
  auto* const salt = reinterpret_cast<unsigned char*>(out.salt.data());
  if (RAND_bytes(salt, static_cast<int>(out.salt.size())) != 1) {
    return Status(StatusCode::kUnavailable, "the system gives no random numbers");
  }
  auto* const hash = reinterpret_cast<unsigned char*>(out.hash.data());
  if (!derive_key(cost, password, out.salt, hash, out.hash.size())) {
    return Status(StatusCode::kResourceExhausted, "there is not the memory to compute the hash");
  }
  return out;
}

Match check_password(const PasswordHash& hash, std::string_view password) {
  std::array<unsigned char, kMostHash> computed;
  if (!derive_key(hash.cost, password, hash.salt, computed.data(), hash.hash.size())) return Match::kFailed;
  const bool same = CRYPTO_memcmp(computed.data(), hash.hash.data(), hash.hash.size()) == 0;
  OPENSSL_cleanse(computed.data(), computed.size());
  return same ? Match::kYes : Match::kNo;
}

}  // namespace mqloop::password
