// Enhanced authentication that does as the client's Authentication Data tells it. It knows the methods "TOLD" and
// "TOLD-2"; a client without a method it passes on. The data are words:
//
//   [late] accept [DATA]         lets the client in; DATA goes back to it
//   [late] as NAME               under another name
//   [late] challenge [DATA]      asks for more, with DATA
//   [late] tell                  accepts, and says as DATA what it was told: step, user name, "again"
//   [late] reject HEX            refuses with that code
//   pass drop throw              as the words say
//   never                        keeps the reply until the plugin is stopped
//   long N                       accepts with N bytes of data
//
// `late` answers after `delay`, from another thread.
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <mqloop/plugin.h>

namespace {

using mqloop::AuthReply;
using mqloop::AuthState;
using mqloop::AuthStep;
using mqloop::ConnectRequest;
using mqloop::ReasonCode;
using mqloop::Ref;

// Counts the packets of one exchange.
class Progress final : public AuthState {
 public:
  explicit Progress(int packets) noexcept : packets_(packets) {}
  [[nodiscard]] int packets() const noexcept { return packets_; }

 private:
  ~Progress() override = default;
  int packets_;
};

std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

int number(std::string_view digits, int base) {
  int value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return value;
}

// What was asked, in words of its own, for it may be answered after the hook.
struct Question {
  std::string told;  // the client's words
  std::string user_name;
  bool again = false;
  int packets = 0;
};

void answer(const Question& question, AuthReply reply) {
  std::string_view rest = question.told;
  const std::string_view word = take_word(rest);
  if (word == "accept") return reply.accept_with(rest);
  if (word == "as") return reply.accept(rest);
  if (word == "long") return reply.accept_with(std::string(static_cast<std::size_t>(number(rest, 10)), 'x'));
  if (word == "reject") return reply.reject(static_cast<ReasonCode>(number(rest, 16)), "told to refuse");
  if (word == "challenge") return reply.challenge(rest, Ref<AuthState>::adopt(new Progress(question.packets)));
  if (word == "tell") {
    return reply.accept_with("step " + std::to_string(question.packets) + " user " + question.user_name +
                             (question.again ? " again" : ""));
  }
  if (word == "throw") throw std::runtime_error("told to throw");
  if (word == "pass") reply.pass();
}

// Answers when the time has come; all delays are the same, so a queue will do.
class Later {
 public:
  ~Later() {
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
  void add(Question question, AuthReply reply) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({std::chrono::steady_clock::now() + delay_, std::move(question), std::move(reply)});
    }
    changed_.notify_one();
  }
  void keep(AuthReply reply) {
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(reply));
  }

 private:
  struct Waiting {
    std::chrono::steady_clock::time_point at;
    Question question;
    AuthReply reply;
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
        answer(next.question, std::move(next.reply));
        lock.lock();
      }
    }
  }

  std::chrono::milliseconds delay_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  std::vector<AuthReply> kept_;
  bool stopping_ = false;
  std::thread thread_;
};

class Exchange final : public mqloop::AuthenticatorPlugin {
 public:
  void describe(mqloop::Schema& schema) override {
    schema.duration("delay", "how late a late answer is").defaults_to("100ms");
  }
  mqloop::Status configure(const mqloop::ConfigNode& config) override {
    later_.start(config["delay"].as_duration());
    return mqloop::ok();
  }

  bool knows_method(std::string_view method) const override { return method == "TOLD" || method == "TOLD-2"; }
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    if (!request.has_authentication_method) return reply.pass();
    ask({std::string(request.authentication_data), std::string(request.user_name), false, 1}, std::move(reply));
  }
  void continue_auth(const AuthStep& step, AuthReply reply) const override {
    const int before = step.state == nullptr ? 0 : static_cast<const Progress*>(step.state)->packets();
    ask({std::string(step.authentication_data), std::string(step.user_name), step.reauthenticates, before + 1},
        std::move(reply));
  }

 private:
  void ask(Question question, AuthReply reply) const {
    std::string_view rest = question.told;
    const std::string_view word = take_word(rest);
    if (word == "never") return later_.keep(std::move(reply));
    if (word != "late") return answer(question, std::move(reply));
    question.told = std::string(rest);
    later_.add(std::move(question), std::move(reply));
  }

  mutable Later later_;  // has a lock of its own
};

}  // namespace

MQLOOP_PLUGIN(Exchange, "exchange", "1.0", "enhanced authentication as the client tells it")
