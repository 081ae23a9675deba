#include "tests/bench/load/meter.h"

#include "tests/bench/load/base.h"

namespace mqloop::load {

// What takes long is read outside of the window, the clocks at its very edge.
void Meter::begin() {
  broker_.reset_peak();
  first_.resident = broker_.resident_kib();
  first_.context_switches = broker_.context_switches();
  first_.machine = machine_now();
  first_.own_cpu = own_cpu_ns();
  first_.broker_cpu = broker_.cpu_ns();
  first_.time = now_ns();
}

void Meter::end() {
  last_.time = now_ns();
  last_.broker_cpu = broker_.cpu_ns();
  last_.own_cpu = own_cpu_ns();
  last_.machine = machine_now();
  last_.context_switches = broker_.context_switches();
  last_.resident = broker_.resident_kib();
  peak_ = broker_.peak_kib();
  threads_ = broker_.threads();
}

}  // namespace mqloop::load
