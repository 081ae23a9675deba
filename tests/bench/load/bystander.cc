#include "tests/bench/load/bystander.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "tests/bench/load/base.h"
#include "tests/bench/load/clients.h"
#include "tests/bench/load/loop.h"
#include "tests/bench/load/packets.h"

namespace mqloop::load {

// What runs in the other process.
class Bystander::Pairs final : public Handler {
 public:
  Pairs(const Options& options, Loop& loop, Shared& shared)
      : options_(options),
        loop_(loop),
        shared_(shared),
        publishers_(static_cast<size_t>(options.pairs)),
        subscribers_(publishers_.size()),
        seen_(publishers_.size()) {}

  void run() {
    open();
    enter(Phase::kWaiting);
    send_until_the_end();
    const uint64_t patience = now_ns() + kSecond * 3;
    while (shared_.delivered < shared_.sent && now_ns() < patience) loop_.turn(kSecond / 100);
    shared_.idle = figures(idle_);
    shared_.busy = figures(busy_);
    leave_all(loop_, publishers_);
    leave_all(loop_, subscribers_);
  }

  void on_publish(Connection& connection, const Delivery& delivery) override {
    Stamp stamp;
    if (delivery.payload.size() < sizeof stamp) return;
    std::memcpy(&stamp, delivery.payload.data(), sizeof stamp);
    ++shared_.delivered;
    uint32_t& last = seen_[connection.index];
    if (stamp.sequence != last + 1) ++shared_.disorder;
    last = stamp.sequence;
    // Its phase has gone along in the lowest bits, which are too small to be a time.
    const uint64_t due = stamp.value & ~kPhaseBits;
    if (Times* times = times_of(static_cast<Phase>(stamp.value & kPhaseBits))) times->latency.add(now_ns() - due);
  }
  void on_close(Connection& connection) override { die("pair %u was closed by the broker", connection.index); }

 private:
  static constexpr uint64_t kPhaseBits = 7;
  struct Times {
    Histogram latency, lateness;
  };

  static Figures figures(const Times& times) {
    const Histogram& latency = times.latency;
    return {.p50 = latency.quantile_us(.5),
            .p99 = latency.quantile_us(.99),
            .p999 = latency.quantile_us(.999),
            .max = latency.max_us(),
            .late_p99 = times.lateness.quantile_us(.99),
            .samples = latency.count()};
  }
  Times* times_of(Phase phase) { return phase == Phase::kIdle ? &idle_ : phase == Phase::kBusy ? &busy_ : nullptr; }
  Phase phase() const { return static_cast<Phase>(shared_.phase.load(std::memory_order_acquire)); }
  void enter(Phase phase) { shared_.phase.store(static_cast<uint32_t>(phase), std::memory_order_release); }

  void open() {
    std::vector<Client> senders, receivers;
    for (size_t i = 0; i < publishers_.size(); ++i) {
      const std::string topic = "pair/" + std::to_string(i);
      senders.push_back({connect_packet(options_.version, client_id("a", i)), {}, 0});
      receivers.push_back({connect_packet(options_.version, client_id("b", i)), {topic}, 0});
      publishes_.emplace_back(
          Publish{.topic = topic, .version = options_.version, .payload = options_.stamped_payload()});
    }
    open_all(loop_, subscribers_, receivers, 1);
    open_all(loop_, publishers_, senders, 1);
    loop_.set_handler(this);
  }

  void send_until_the_end() {
    const uint64_t start = now_ns();
    const double interval = 1e9 / options_.rate;
    uint64_t next = start;
    for (Phase now_in = phase(); now_in != Phase::kEnding; now_in = phase()) {
      for (const uint64_t now = now_ns(); next <= now;) {
        send(next, now_in);
        if (Times* times = times_of(now_in)) times->lateness.add(now - next);
        next = start + static_cast<uint64_t>(static_cast<double>(shared_.sent) * interval);
      }
      loop_.flush_all();
      const uint64_t then = now_ns();
      loop_.turn(next <= then ? 0 : next - then);
    }
  }

  void send(uint64_t due, Phase phase) {
    const size_t pair = shared_.sent % publishers_.size();
    const auto sequence = static_cast<uint32_t>(shared_.sent / publishers_.size() + 1);
    ++shared_.sent;
    const PublishTemplate& publish = publishes_[pair];
    publish.write(loop_.room(publishers_[pair], publish.size()), 0,
                  {static_cast<uint32_t>(pair), sequence, (due & ~kPhaseBits) | static_cast<uint64_t>(phase)});
  }

  const Options& options_;
  Loop& loop_;
  Shared& shared_;
  std::vector<Connection> publishers_, subscribers_;
  std::vector<PublishTemplate> publishes_;
  std::vector<uint32_t> seen_;  // the last sequence number, by pair
  Times idle_, busy_;
};

Bystander::Bystander(const Options& options) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap: %s", std::strerror(errno));
  shared_ = new (memory) Shared;
  process_ = fork();
  if (process_ < 0) die("fork: %s", std::strerror(errno));
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1UL);
    // They stand for clients elsewhere, whose processor is their own; not everybody may ask for this.
    const sched_param first{.sched_priority = 10};
    sched_setscheduler(0, SCHED_FIFO, &first);
    Options own = options;
    if (options.pair_port != 0) own.port = options.pair_port;
    Loop loop(own);
    Pairs(own, loop, *shared_).run();
    shared_->is_done = true;
    _exit(0);
  }
  while (shared_->phase.load(std::memory_order_acquire) == static_cast<uint32_t>(Phase::kStarting)) {
    if (waitpid(process_, nullptr, WNOHANG) != 0) die("the pairs could not connect");
    usleep(1000);
  }
}

Bystander::~Bystander() { munmap(shared_, sizeof(Shared)); }

void Bystander::enter(Phase phase) { shared_->phase.store(static_cast<uint32_t>(phase), std::memory_order_release); }

void Bystander::end() {
  enter(Phase::kEnding);
  int status = 0;
  if (waitpid(process_, &status, 0) != process_ || status != 0 || !shared_->is_done) die("the pairs have failed");
}

void Bystander::report_phase(Report& report, const char* name, const Figures& figures) {
  const auto key = [name](const char* of) { return std::string(name) + of; };
  report.number(key("_p50_us"), figures.p50, 1);
  report.number(key("_p99_us"), figures.p99, 1);
  report.number(key("_p999_us"), figures.p999, 1);
  report.number(key("_max_us"), figures.max, 1);
  report.number(key("_send_late_p99_us"), figures.late_p99, 1);
  report.count(key("_samples"), figures.samples);
}

void Bystander::report(Report& report) const {
  report_phase(report, "idle", shared_->idle);
  report_phase(report, "busy", shared_->busy);
  if (shared_->idle.p99 > 0) report.number("p99_ratio", shared_->busy.p99 / shared_->idle.p99, 2);
  report.count("pair_lost", static_cast<int64_t>(shared_->sent - shared_->delivered));
  report.count("pair_disorder", shared_->disorder);
}

bool Bystander::is_right() const {
  return shared_->sent == shared_->delivered && shared_->disorder == 0 && shared_->idle.samples != 0 &&
         shared_->busy.samples != 0;
}

}  // namespace mqloop::load
