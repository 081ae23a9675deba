// The publishers that the conformance suite knows by name: `simulated`, whose delays and verdicts come from a seed, and
// every publisher_<name>.so of the build, loaded and configured as the daemon would do it. MQLOOP_PUBLISHER names the
// one under test, MQLOOP_PUBLISHER_OPTIONS is its `config:` block, in which FOLDER stands for a new folder that each
// publisher has for itself and that goes with it; tests/conformance/run goes through all of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <mqloop/publisher.h>

#include "tests/support/simulated_random.h"

namespace mqloop::conformance {

class PublisherUnderTest {
 public:
  virtual ~PublisherUnderTest() = default;
  virtual Publisher& publisher() = 0;
  // What it found wrong with the broker's use of it, where it looks for that.
  [[nodiscard]] virtual std::vector<std::string> complaints() const { return {}; }
};

// Fails the running test when there is no such publisher. `random` outlives it.
std::unique_ptr<PublisherUnderTest> make_publisher(const std::string& name, sim::SimulatedRandom& random);
// One that keeps messages has a thread that waits for the disk: gives it a moment of real time, others none.
void wait_for_threads(Publisher& publisher);
// The one that the suite runs against now.
std::string publisher_name();

}  // namespace mqloop::conformance
