// Logins: from a user name and a password to the answer, with the hash computed on a worker thread and never on a
// reactor. Shared by the plugin and by the jobs it has given to the worker pool, so that a job may end after the plugin
// instance that began it. Any thread.
//
//   login()       known to the cache                  accepted at once
//                 the same credentials are being       joins them: one hash for all
//                 checked already
//                 most_waiting wait already, or the    refused, Server busy
//                 pool takes no more
//                 else                                 a job for the pool
//   a job runs    it waited longer than longest_wait   refused, Server busy, and no hash computed: its client has given
//                                                      up, or will have when the hash is there
//                 else                                 one hash, whether there is such a user or not
//
// A stranger is told what a member with a wrong password is told, and after as long (CVE-2021-46434): the log alone
// learns which of the two it was. Passwords are wiped when they have been used.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mqloop/clock.h>
#include <mqloop/log.h>
#include <mqloop/plugin.h>
#include <mqloop/ref.h>

#include "core/base/log_brake.h"
#include "core/password/password_file.h"
#include "plugins/auth_file/credential_cache.h"

namespace mqloop::auth_file {

// What the client is told, whatever it was that did not fit.
inline constexpr std::string_view kWrongCredentials = "bad user name or password";

struct LoginLimits {
  std::size_t most_waiting = 1000;  // clients, on all reactors together
  std::chrono::milliseconds longest_wait{1000};
  std::chrono::milliseconds cache_ttl{60'000};
  std::size_t cache_entries = 20'000;
};

// Read by anybody, at any time.
struct LoginCounts {
  std::atomic<std::uint64_t> hashes{0};  // computed
  std::atomic<std::uint64_t> cached{0};  // clients that the cache let in
  std::atomic<std::uint64_t> joined{0};  // clients that a hash computed for others served
  std::atomic<std::uint64_t> busy{0};    // clients refused for want of time
};

class LoginQueue final : public SharedObject {
 public:
  using Now = MonotonicTime (*)() noexcept;

  // `now` may be called from any thread.
  LoginQueue(password::PasswordFile users, const LoginLimits& limits, Now now);
  // Draws the keys. Before the first login.
  [[nodiscard]] Status open() { return cache_.open(); }

  // On `reactor`. Answers now or from a worker thread.
  void login(ReactorApi& reactor, std::string_view user_name, std::string_view password, AuthReply reply);

  [[nodiscard]] const LoginCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] const password::PasswordFile& users() const noexcept { return users_; }

 private:
  struct Job;
  enum class Verdict : std::uint8_t { kAccepted, kWrongPassword, kUnknownUser, kBusy, kFailed };

  ~LoginQueue() override = default;

  struct Credentials {
    std::string_view user_name;
    std::string_view password;
  };
  enum class Way : std::uint8_t { kCached, kJoined, kNewJob, kBusy };
  // Where a login goes. With kJoined and kNewJob `job` has taken the reply.
  Way find_way(const CredentialDigest& digest, const Credentials& credentials, AuthReply& reply, Log& log, Job*& job);
  void run(Job& job) noexcept;
  Verdict check(std::string_view user_name, std::string_view password);
  // Ends the wait of everybody who waits for these credentials.
  void answer_all(Job& job, Verdict verdict) noexcept;
  void answer(AuthReply reply, Verdict verdict, Log& log) noexcept;
  void log_busy(Log& log) noexcept;

  const password::PasswordFile users_;
  const LoginLimits limits_;
  const Now now_;
  LoginCounts counts_;
  std::mutex mutex_;
  CredentialCache cache_;
  std::unordered_map<CredentialDigest, Job*, DigestHash> jobs_;  // each owns itself until it has run
  std::size_t waiting_ = 0;                                      // clients
  LogBrake busy_brake_;
};

}  // namespace mqloop::auth_file
