#include "plugins/auth_file/credential_cache.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace mqloop::auth_file {

namespace {

MonotonicTime later(MonotonicTime now, std::chrono::milliseconds by) noexcept {
  return by > MonotonicTime::max() - now ? MonotonicTime::max() : now + by;
}

}  // namespace

std::size_t DigestHash::operator()(const CredentialDigest& digest) const noexcept {
  std::size_t out;
  std::memcpy(&out, digest.data(), sizeof out);
  return out;
}

Status CredentialCache::open() {
  if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1) {
    return {StatusCode::kUnavailable, "the system gives no random numbers"};
  }
  // libcrypto gets itself ready at the first use, which takes milliseconds: here, and not on a reactor.
  if (!digest_of({}, {})) return {StatusCode::kUnavailable, "libcrypto has no HMAC with SHA-256"};
  return ok();
}

std::optional<CredentialDigest> CredentialCache::digest_of(std::string_view user_name,
                                                           std::string_view password) const {
  // The length keeps ("ab", "c") from being ("a", "bc").
  std::string text = std::to_string(user_name.size()) + ':';
  text.reserve(text.size() + user_name.size() + password.size());
  text.append(user_name).append(password);
  CredentialDigest out{};
  unsigned int size = 0;
  const bool done =
      HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size) != nullptr;
  OPENSSL_cleanse(text.data(), text.size());
  if (!done || size != out.size()) return std::nullopt;
  return out;
}

std::uint64_t CredentialCache::number_of(std::string_view user_name) const {
  const CredentialDigest digest = digest_of(user_name, {}).value_or(CredentialDigest{});
  std::uint64_t out;
  std::memcpy(&out, digest.data(), sizeof out);
  return out;
}

bool CredentialCache::knows(const CredentialDigest& digest, MonotonicTime now) {
  const auto found = table_.find(digest);
  return found != table_.end() && now < found->second;
}

void CredentialCache::add(const CredentialDigest& digest, MonotonicTime now) {
  if (lifetime_.count() == 0 || most_entries_ == 0) return;
  forget_expired(now);
  // What is there stays as long as it was to stay: a lifetime begins with a check of the password.
  if (table_.count(digest) != 0) return;
  if (queue_.size() >= most_entries_) forget_oldest();
  // Workers look at the clock one after the other, and come here in another order.
  const MonotonicTime expires = std::max(later(now, lifetime_), queue_.empty() ? now : queue_.back().expires);
  queue_.push_back({digest, expires});
  table_.emplace(digest, expires);
}

void CredentialCache::forget_expired(MonotonicTime now) {
  while (!queue_.empty() && queue_.front().expires <= now) forget_oldest();
}

void CredentialCache::forget_oldest() {
  table_.erase(queue_.front().digest);
  queue_.pop_front();
}

}  // namespace mqloop::auth_file
