// Pairs of publisher and subscriber that send a little at a fixed rate, and how long their messages take while others
// keep the broker busy or leave it in peace. They are a process of their own: what the generator does meanwhile for
// thousands of connections would otherwise count as latency. Open loop, as Flow's.
//
// The generator says which phase it is; a message belongs to the phase in which it was due.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "tests/bench/load/histogram.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/report.h"

namespace mqloop::load {

class Bystander {
 public:
  enum class Phase : uint32_t { kStarting, kWaiting, kIdle, kBusy, kEnding };

  // Before the generator has connections, which the new process would share. Returns once the pairs are connected.
  explicit Bystander(const Options& options);
  ~Bystander();
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  void enter(Phase phase);
  // The last step: the pairs leave, and what they have measured is known.
  void end();

  void report(Report& report) const;
  bool is_right() const;

 private:
  struct Figures {
    double p50 = 0, p99 = 0, p999 = 0, max = 0, late_p99 = 0;
    uint64_t samples = 0;
  };
  // What both processes see.
  struct Shared {
    std::atomic<uint32_t> phase{static_cast<uint32_t>(Phase::kStarting)};
    std::atomic<bool> is_done{false};
    Figures idle, busy;
    uint64_t sent = 0, delivered = 0, disorder = 0;
  };
  class Pairs;

  static void report_phase(Report& report, const char* name, const Figures& figures);

  Shared* shared_;
  pid_t process_ = -1;
};

}  // namespace mqloop::load
