// load: an MQTT load generator for one scenario at a time; it prints one JSON object. README.md tells how to use it.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <string_view>

#include "tests/bench/load/base.h"
#include "tests/bench/load/loop.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/process.h"
#include "tests/bench/load/scenarios.h"

namespace {

constexpr struct {
  std::string_view name;
  void (*run)(const mqloop::load::Options&, mqloop::load::Loop&);
} kScenarios[] = {
    {"pairs", mqloop::load::run_flow},        {"fanout", mqloop::load::run_flow},
    {"fanin", mqloop::load::run_flow},        {"latency", mqloop::load::run_flow},
    {"connect", mqloop::load::run_connect},   {"idle", mqloop::load::run_idle},
    {"subs", mqloop::load::run_subs},         {"churn", mqloop::load::run_churn},
    {"retained", mqloop::load::run_retained}, {"offline", mqloop::load::run_offline},
    {"beside", mqloop::load::run_beside},
};

// As many descriptors as may be had: beyond the hard limit only with the right to raise it.
void raise_descriptor_limit() {
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  for (const rlim_t wanted : {rlim_t{1'000'000}, rlim_t{200'000}, now.rlim_max}) {
    const rlimit raised{wanted, std::max(wanted, now.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const mqloop::load::Options options = mqloop::load::options_from(argc, argv);
  const auto* scenario = std::find_if(std::begin(kScenarios), std::end(kScenarios),
                                      [&](const auto& known) { return known.name == options.scenario; });
  if (scenario == std::end(kScenarios)) mqloop::load::print_usage();
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  if (options.pid != 0 && mqloop::load::Process(options.pid).resident_kib() == 0) {
    mqloop::load::die("no process %d", options.pid);
  }
  mqloop::load::Loop loop(options);
  scenario->run(options, loop);
  return 0;
}
