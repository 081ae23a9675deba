// The broker of a simulated run that crashes: its publisher's writer has its turns between the steps of the reactors,
// and the power goes at any moment, perhaps while it writes.
#include <cstdio>
#include <random>
#include <utility>

#include "core/broker/shard.h"
#include "tests/sim/simulation.h"

namespace mqloop::sim {

void Simulation::start_broker() {
  Publisher* publisher = &passthrough_;
  if (publisher_) publisher = &*publisher_;
  if (disk_) publisher = &disk_publisher_.emplace(*disk_, broker_.clock(), scenario_.checkpoint_frames);
  broker_.start(*publisher);
  if (disk_ && !disk_publisher_->trouble().empty()) fail("the broker does not start: " + disk_publisher_->trouble());
  for (std::uint32_t i = 0; scenario_.slices && i != scenario_.reactors; ++i) {
    broker_.broker().shard(i).fan_outs().set_sizes({random_.below(3), random_.between(1, 3)});
  }
}

bool Simulation::step() {
  const bool stepped = broker_.step();
  if (!disk_publisher_ || !random_.chance(scenario_.write_percent)) return stepped;
  return disk_publisher_->round(random_.chance(50)) || stepped;
}

bool Simulation::settle() {
  do {
    if (!broker_.settle()) return false;
  } while (disk_publisher_ && disk_publisher_->round(true));
  return true;
}

// What the disk still keeps of it, sector by sector, its seed decides.
void Simulation::crash() {
  using Fault = store_test::SimulatedDisk::Fault;
  if (random_.chance(70)) {
    disk_->plan(Fault::kPowerCut, random_.between(1, 40));
    disk_publisher_->round(true);
  }
  if (!disk_->is_cut()) disk_->plan(Fault::kPowerCut, 1);
  if (talks_) std::fprintf(stderr, "%6llu CRASH\n", static_cast<unsigned long long>(broker_.now()));
  ++crashes_;
  model_.crashed(broker_.now());
  broker_.crash();
  disk_publisher_.reset();
  std::mt19937_64 random(random_.next());
  disk_->power_cycle(random);
  start_broker();
}

}  // namespace mqloop::sim
