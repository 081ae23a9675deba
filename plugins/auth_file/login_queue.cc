#include "plugins/auth_file/login_queue.h"

#include <openssl/crypto.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace mqloop::auth_file {

// One check of one name and password, and all who wait for it. Made by a reactor, deleted by the worker that has run
// it; one that the pool drops unstarted, when its broker ends by force, is never deleted.
struct LoginQueue::Job {
  ~Job() { OPENSSL_cleanse(password.data(), password.size()); }

  static void work(void* self) noexcept {
    const std::unique_ptr<Job> job(static_cast<Job*>(self));
    job->queue->run(*job);
  }
  // The job is gone by then; the clients have their answers from the worker.
  static void done(void* /*self*/) noexcept {}

  Ref<LoginQueue> queue;
  CredentialDigest digest;
  std::string user_name;
  std::string password;
  MonotonicTime begun;
  Log& log;
  std::vector<AuthReply> replies = {};  // under the queue's lock
};

LoginQueue::LoginQueue(password::PasswordFile users, const LoginLimits& limits, Now now)
    : users_(std::move(users)), limits_(limits), now_(now), cache_(limits.cache_ttl, limits.cache_entries) {}

void LoginQueue::login(ReactorApi& reactor, std::string_view user_name, std::string_view password, AuthReply reply) {
  const std::optional<CredentialDigest> digest = cache_.digest_of(user_name, password);
  if (!digest) return answer(std::move(reply), Verdict::kFailed, reactor.log());
  Job* job = nullptr;
  switch (find_way(*digest, {user_name, password}, reply, reactor.log(), job)) {
    case Way::kCached:
      counts_.cached.fetch_add(1, std::memory_order_relaxed);
      return answer(std::move(reply), Verdict::kAccepted, reactor.log());
    case Way::kJoined:
      counts_.joined.fetch_add(1, std::memory_order_relaxed);
      return;
    case Way::kBusy:
      return answer(std::move(reply), Verdict::kBusy, reactor.log());
    case Way::kNewJob:
      break;
  }
  if (reactor.submit(&Job::work, &Job::done, job)) return;
  answer_all(*job, Verdict::kBusy);
  delete job;
}

LoginQueue::Way LoginQueue::find_way(const CredentialDigest& digest, const Credentials& credentials, AuthReply& reply,
                                     Log& log, Job*& job) {
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = now_();
  if (cache_.knows(digest, now)) return Way::kCached;
  if (waiting_ >= limits_.most_waiting) return Way::kBusy;
  ++waiting_;
  const auto [place, is_new] = jobs_.try_emplace(digest, nullptr);
  if (is_new) {
    place->second = new Job{.queue = Ref<LoginQueue>::share(this),
                            .digest = digest,
                            .user_name = std::string(credentials.user_name),
                            .password = std::string(credentials.password),
                            .begun = now,
                            .log = log};
  }
  job = place->second;
  job->replies.push_back(std::move(reply));
  return is_new ? Way::kNewJob : Way::kJoined;
}

void LoginQueue::run(Job& job) noexcept {
  const bool too_late = now_() - job.begun > limits_.longest_wait;
  answer_all(job, too_late ? Verdict::kBusy : check(job.user_name, job.password));
}

LoginQueue::Verdict LoginQueue::check(std::string_view user_name, std::string_view password) {
  const std::optional<password::PasswordHash> own = users_.find(user_name);
  const password::PasswordHash hash = own ? *own : users_.stand_in(cache_.number_of(user_name));
  counts_.hashes.fetch_add(1, std::memory_order_relaxed);
  const password::Match match = password::check_password(hash, password);
  if (match == password::Match::kFailed) return Verdict::kFailed;
  if (!own) return Verdict::kUnknownUser;
  return match == password::Match::kYes ? Verdict::kAccepted : Verdict::kWrongPassword;
}

void LoginQueue::answer_all(Job& job, Verdict verdict) noexcept {
  std::vector<AuthReply> replies;
  {
    const std::lock_guard lock(mutex_);
    jobs_.erase(job.digest);
    replies.swap(job.replies);
    waiting_ -= replies.size();
    if (verdict == Verdict::kAccepted) cache_.add(job.digest, now_());
  }
  for (AuthReply& reply : replies) answer(std::move(reply), verdict, job.log);
}

void LoginQueue::answer(AuthReply reply, Verdict verdict, Log& log) noexcept {
  switch (verdict) {
    case Verdict::kAccepted:
      return reply.accept();
    case Verdict::kWrongPassword:
      return reply.reject(ReasonCode::kBadUserNameOrPassword, kWrongCredentials, "bad_password");
    case Verdict::kUnknownUser:
      return reply.reject(ReasonCode::kBadUserNameOrPassword, kWrongCredentials, "unknown_user");
    case Verdict::kBusy:
      counts_.busy.fetch_add(1, std::memory_order_relaxed);
      log_busy(log);
      return reply.reject(ReasonCode::kServerBusy, "too many clients log in at once: try again later", "busy");
    case Verdict::kFailed:
      return reply.reject(ReasonCode::kServerUnavailable, "the password cannot be checked now", "no_memory");
  }
}

void LoginQueue::log_busy(Log& log) noexcept {
  std::uint64_t left_out = 0;
  std::size_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!busy_brake_.may_log(now_())) return;
    left_out = busy_brake_.take_left_out();
    waiting = waiting_;
  }
  log.write(LogLevel::kWarn, "auth_file", "more logins than passwords can be checked",
            {{"waiting", std::to_string(waiting)}, {"left_out", std::to_string(left_out)}});
}

}  // namespace mqloop::auth_file
