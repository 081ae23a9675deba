// Which credentials were verified a short while ago, so that a client that comes back costs no password hash. What is
// kept is a digest of name and password under a key that was drawn when the cache was made and never leaves it: of no
// use to anybody else, and gone with the instance of the plugin when the password file is read anew.
//
// Not thread-safe: its owner has the lock; digest_of() alone may be called by any thread. Invariant: an entry is in the
// table if and only if it is in the queue, which is in the order of expiry.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_map>

#include <mqloop/clock.h>
#include <mqloop/status.h>

namespace mqloop::auth_file {

using CredentialDigest = std::array<unsigned char, 32>;

// For tables: the digest is as good as random already.
struct DigestHash {
  std::size_t operator()(const CredentialDigest& digest) const noexcept;
};

class CredentialCache {
 public:
  // `lifetime` 0 or `most_entries` 0: nothing is ever kept.
  CredentialCache(std::chrono::milliseconds lifetime, std::size_t most_entries) noexcept
      : lifetime_(lifetime), most_entries_(most_entries) {}

  // Draws the key. Before anything else; it may take milliseconds.
  [[nodiscard]] Status open();

  // HMAC-SHA-256. Nobody can tell of two digests more than whether they are the same. Nothing when libcrypto fails, for
  // want of memory: then nobody is known.
  [[nodiscard]] std::optional<CredentialDigest> digest_of(std::string_view user_name, std::string_view password) const;

  // A digest of the name under the same key: a number that is the same for a name at every time, and that nobody can
  // foresee.
  [[nodiscard]] std::uint64_t number_of(std::string_view user_name) const;

  [[nodiscard]] bool knows(const CredentialDigest& digest, MonotonicTime now);
  // When it is full the oldest entry goes.
  void add(const CredentialDigest& digest, MonotonicTime now);

  [[nodiscard]] std::size_t size() const noexcept { return queue_.size(); }

 private:
  void forget_expired(MonotonicTime now);
  void forget_oldest();

  struct Entry {
    CredentialDigest digest;
    MonotonicTime expires;
  };

  std::array<unsigned char, 32> key_{};
  const std::chrono::milliseconds lifetime_;
  const std::size_t most_entries_;
  std::deque<Entry> queue_;
  std::unordered_map<CredentialDigest, MonotonicTime, DigestHash> table_;  // to when it expires
};

}  // namespace mqloop::auth_file
