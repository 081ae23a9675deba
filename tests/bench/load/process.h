// What /proc says of the broker's process and of the machine. Reads files only; a process that is gone reads as zeros.
#pragma once

#include <cstdint>

namespace mqloop::load {

class Process {
 public:
  explicit Process(int pid) : pid_(pid) {}

  bool is_named() const { return pid_ > 0; }
  // CPU time of all live threads, from the scheduler's own count in ns; without that from utime and stime.
  uint64_t cpu_ns() const;
  int threads() const;
  // Voluntary and involuntary, all live threads.
  uint64_t context_switches() const;
  uint64_t resident_kib() const { return status_field("VmRSS:"); }
  uint64_t peak_kib() const { return status_field("VmHWM:"); }
  // The peak starts anew from what is resident now. Needs the right to write the process's clear_refs.
  void reset_peak() const;

 private:
  uint64_t cpu_ticks() const;
  uint64_t status_field(const char* key) const;

  int pid_;
};

uint64_t own_cpu_ns();

struct Machine {
  double busy = 0;  // CPU seconds since it started, all processors
  double stolen = 0;
};
Machine machine_now();
double load_average();  // of one minute

}  // namespace mqloop::load
