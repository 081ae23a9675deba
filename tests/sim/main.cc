// sim [--crashes] [--seeds N] [--from S] [--seed X] [--talk]: runs N seeds beginning with S, or the one seed X, and
// tells what broke and how to run it again; without any of these the usual seeds of both kinds. The last line is `N
// passed, N failed`.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/sim/simulation.h"

// Of the sanitizers' runtime, where there is one: it ends the program without a signal.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using mqloop::sim::Kind;
using mqloop::sim::Outcome;
using mqloop::sim::Simulation;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kUsualSeeds = 400;  // each takes several times as long
constexpr std::uint64_t kUsualCrashes = 80;
#else
constexpr std::uint64_t kUsualSeeds = 2000;
constexpr std::uint64_t kUsualCrashes = 400;
#endif

struct Options {
  Kind kind = Kind::kLasting;
  bool is_usual = true;
  std::uint64_t seeds = kUsualSeeds;
  std::uint64_t from = 1;
  bool talks = false;
};

// Told when the program dies, where nothing else is left.
Kind running_kind = Kind::kLasting;
std::uint64_t running_seed = 0;

const char* option_of(Kind kind) { return kind == Kind::kCrashing ? "--crashes " : ""; }

void say_which_seed() {
  const auto number = static_cast<unsigned long long>(running_seed);
  std::printf("seed %llu died; again: tests/sim/run %s--seed %llu --talk\n", number, option_of(running_kind), number);
  std::fflush(stdout);
}

void on_fatal_signal(int signal) {
  say_which_seed();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// For tests/matrix, to which all seeds together are one test.
void say_that_it_ran() {
  const char* name = std::getenv("MQLOOP_RAN");
  std::FILE* ran = name != nullptr ? std::fopen(name, "a") : nullptr;
  if (ran == nullptr) return;
  std::fputs("every_seed_agrees_with_the_model\n", ran);
  std::fclose(ran);
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i != argc; ++i) {
    if (std::strcmp(argv[i], "--talk") == 0) {
      options.talks = true;
      continue;
    }
    options.is_usual = false;
    if (std::strcmp(argv[i], "--crashes") == 0) {
      options.kind = Kind::kCrashing;
      continue;
    }
    if (i + 1 == argc) return false;
    char* end = nullptr;
    const std::uint64_t number = std::strtoull(argv[i + 1], &end, 10);
    if (*end != '\0') return false;
    if (std::strcmp(argv[i], "--seeds") == 0) {
      options.seeds = number;
    } else if (std::strcmp(argv[i], "--from") == 0) {
      options.from = number;
    } else if (std::strcmp(argv[i], "--seed") == 0) {
      options.from = number;
      options.seeds = 1;
    } else {
      return false;
    }
    ++i;
  }
  return true;
}

bool run(Kind kind, std::uint64_t seed, bool talks, Outcome& total) {
  running_kind = kind;
  running_seed = seed;
  const Outcome outcome = Simulation(kind, seed, talks).run();
  total.steps += outcome.steps;
  total.delivered += outcome.delivered;
  total.owed += outcome.owed;
  total.crashes += outcome.crashes;
  total.held += outcome.held;
  if (outcome.failures.empty()) return true;
  const auto number = static_cast<unsigned long long>(seed);
  std::printf("seed %llu failed (%s)\n", number, outcome.scenario.c_str());
  for (std::size_t i = 0; i != outcome.failures.size() && i != 5; ++i)
    std::printf("  %s\n", outcome.failures[i].c_str());
  std::printf("  again: tests/sim/run %s--seed %llu --talk\n", option_of(kind), number);
  std::fflush(stdout);
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: %s [--crashes] [--seeds N] [--from S] [--seed X] [--talk]\n", argv[0]);
    return 2;
  }
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(say_which_seed);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, on_fatal_signal);
  unsigned passed = 0;
  unsigned failed = 0;
  Outcome total;
  const auto run_all = [&](Kind kind, std::uint64_t seeds) {
    for (std::uint64_t i = 0; i != seeds; ++i) {
      (run(kind, options.from + i, options.talks, total) ? passed : failed) += 1;
    }
  };
  run_all(options.kind, options.seeds);
  if (options.is_usual) run_all(Kind::kCrashing, kUsualCrashes);
  std::printf(
      "%llu steps, %llu messages delivered, %llu of them owed and found, publishers held %llu times, %llu crashes\n",
      static_cast<unsigned long long>(total.steps), static_cast<unsigned long long>(total.delivered),
      static_cast<unsigned long long>(total.owed), static_cast<unsigned long long>(total.held),
      static_cast<unsigned long long>(total.crashes));
  if (failed == 0) say_that_it_ran();
  std::printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
