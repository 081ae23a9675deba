// The measured window: what the broker, the generator and the machine had used at both ends of it.
#pragma once

#include <cstdint>

#include "tests/bench/load/process.h"

namespace mqloop::load {

class Meter {
 public:
  explicit Meter(int broker_pid) : broker_(broker_pid) {}

  void begin();
  void end();

  const Process& broker() const { return broker_; }
  bool broker_died() const { return last_.broker_cpu < first_.broker_cpu; }
  double seconds() const { return static_cast<double>(last_.time - first_.time) / 1e9; }
  double broker_cpu_seconds() const { return static_cast<double>(last_.broker_cpu - first_.broker_cpu) / 1e9; }
  // Microseconds of the broker's CPU time for each of `count` things done.
  double broker_us_per(double count) const { return broker_cpu_seconds() * 1e6 / (count < 1 ? 1 : count); }
  double own_cpu_seconds() const { return static_cast<double>(last_.own_cpu - first_.own_cpu) / 1e9; }
  uint64_t context_switches() const { return last_.context_switches - first_.context_switches; }
  double machine_busy() const { return last_.machine.busy - first_.machine.busy; }
  double machine_stolen() const { return last_.machine.stolen - first_.machine.stolen; }
  int broker_threads() const { return threads_; }
  uint64_t resident_kib_before() const { return first_.resident; }
  uint64_t resident_kib_after() const { return last_.resident; }
  uint64_t peak_kib() const { return peak_; }
  uint64_t end_ns() const { return last_.time; }
  // What the broker has grown by since begin() for each of `count` things, when it holds `resident_kib` now.
  double bytes_per(uint64_t resident_kib, double count) const {
    return static_cast<double>(static_cast<int64_t>(resident_kib) - static_cast<int64_t>(first_.resident)) * 1024 /
           count;
  }

 private:
  struct Reading {
    uint64_t time = 0, broker_cpu = 0, own_cpu = 0, context_switches = 0, resident = 0;
    Machine machine;
  };

  Process broker_;
  Reading first_, last_;
  uint64_t peak_ = 0;
  int threads_ = 0;
};

}  // namespace mqloop::load
