// Answers as it is told: at once or after a delay, from a thread of its own, once, twice or never. It is asked by
// clients whose name begins with one of its words, such as `late-1`; others it passes on.
//
//   accept reject pass           at once
//   late late-reject             after `delay`, from another thread
//   twice                        first rejects, then accepts, then accepts again from another thread
//   never                        keeps the reply until the plugin is stopped
//   drop                         destroys the reply unanswered
//   throw                        throws
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <mqloop/plugin.h>

namespace {

using mqloop::Access;
using mqloop::AuthorizeReply;
using mqloop::AuthReply;
using mqloop::ConnectRequest;
using mqloop::ReasonCode;

// The two replies under one roof.
class Reply {
 public:
  explicit Reply(AuthReply reply) : reply_(std::move(reply)) {}
  explicit Reply(AuthorizeReply reply) : reply_(std::move(reply)) {}

  void yes() {
    if (auto* auth = std::get_if<AuthReply>(&reply_)) {
      auth->accept();
    } else {
      std::get<AuthorizeReply>(reply_).allow();
    }
  }
  void no() {
    if (auto* auth = std::get_if<AuthReply>(&reply_)) {
      auth->reject(ReasonCode::kBadUserNameOrPassword, "told to refuse");
    } else {
      std::get<AuthorizeReply>(reply_).deny("told to refuse");
    }
  }
  void pass() {
    std::visit([](auto& reply) { reply.pass(); }, reply_);
  }

 private:
  std::variant<AuthReply, AuthorizeReply> reply_;
};

// A thread that answers when the time has come; all delays are the same, so a queue will do.
class Answerer {
 public:
  ~Answerer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  void start(std::chrono::milliseconds delay) {
    delay_ = delay;
    thread_ = std::thread([this] { run(); });
  }
  void add(Reply reply, bool yes) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({std::chrono::steady_clock::now() + delay_, std::move(reply), yes});
    }
    changed_.notify_one();
  }
  // For ever.
  void keep(Reply reply) {
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(reply));
  }

 private:
  struct Waiting {
    std::chrono::steady_clock::time_point at;
    Reply reply;
    bool yes;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (waiting_.empty()) {
        changed_.wait(lock);
      } else if (waiting_.front().at > std::chrono::steady_clock::now()) {
        changed_.wait_until(lock, waiting_.front().at);
      } else {
        Waiting next = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        if (next.yes) {
          next.reply.yes();
        } else {
          next.reply.no();
        }
        lock.lock();
      }
    }
  }

  std::chrono::milliseconds delay_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  std::vector<Reply> kept_;
  bool stopping_ = false;
  std::thread thread_;
};

class Answers final : public mqloop::Plugin, public mqloop::Authenticator, public mqloop::Authorizer {
 public:
  void describe(mqloop::Schema& schema) override {
    schema.duration("delay", "how late a late answer is").defaults_to("100ms");
    schema.enumeration("at", "what it does that to", {"connect", "access"});
  }
  mqloop::Status configure(const mqloop::ConfigNode& config) override {
    at_connect_ = config["at"].text() == "connect";
    answerer_.start(config["delay"].as_duration());
    return mqloop::ok();
  }
  mqloop::Authenticator* authenticator() noexcept override { return this; }
  mqloop::Authorizer* authorizer() noexcept override { return this; }

  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (!at_connect_) return reply.accept();
    answer(request.client_id, Reply(std::move(reply)));
  }
  void authorize(const Access& access, AuthorizeReply reply) const override {
    if (at_connect_) return reply.allow();
    answer(access.client_id, Reply(std::move(reply)));
  }

 private:
  void answer(std::string_view client_id, Reply reply) const {
    const auto told_to = [&](std::string_view word) { return client_id.starts_with(word); };
    if (told_to("accept")) return reply.yes();
    if (told_to("reject")) return reply.no();
    if (told_to("late-reject")) return answerer_.add(std::move(reply), false);
    if (told_to("late")) return answerer_.add(std::move(reply), true);
    if (told_to("never")) return answerer_.keep(std::move(reply));
    if (told_to("drop")) return;
    if (told_to("throw")) throw std::runtime_error("told to throw");
    if (!told_to("twice")) return reply.pass();
    reply.no();
    reply.yes();
    answerer_.add(std::move(reply), true);
  }

  bool at_connect_ = true;
  mutable Answerer answerer_;  // has a lock of its own
};

}  // namespace

MQLOOP_PLUGIN(Answers, "answers", "1.0", "answers as the client's name tells it to")
