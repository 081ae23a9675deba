#include "tests/bench/support/meter.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/support/callgrind_requests.h"
#include "tests/bench/support/counted_calls.h"
#include "tests/bench/support/counted_memory.h"

namespace mqloop::bench {

namespace {

bool is_counting = false;
std::uint64_t allocations_before = 0;

void count(bool on) noexcept {
  if (on == is_counting) return;
  is_counting = on;
  count_allocations(on);
  count_calls(on);
  CALLGRIND_TOGGLE_COLLECT;
}

}  // namespace

bool counts_instructions() noexcept { return RUNNING_ON_VALGRIND != 0; }

Counted::Counted() noexcept { count(true); }
Counted::~Counted() { count(false); }

Uncounted::Uncounted() noexcept : was_counting_(is_counting) { count(false); }
Uncounted::~Uncounted() { count(was_counting_); }

void begin_figure() noexcept {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  allocations_before = counted_memory().allocations;
}

void end_figure(std::string_view name, std::string_view thing, std::uint64_t things) {
  const std::uint64_t allocations = counted_memory().allocations - allocations_before;
  if (counts_instructions()) {
    const std::string text = std::string(name) + '|' + std::string(thing) + '|' + std::to_string(things);
    CALLGRIND_DUMP_STATS_AT(text.c_str());
    CALLGRIND_STOP_INSTRUMENTATION;
    return;
  }
  print_figure(name, "allocations per " + std::string(thing),
               static_cast<double>(allocations) / static_cast<double>(things));
}

void print_figure(std::string_view name, std::string_view unit, double value) {
  std::printf("%.*s\t%.*s\t%.3f\n", static_cast<int>(name.size()), name.data(), static_cast<int>(unit.size()),
              unit.data(), value);
}

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(1);
}

}  // namespace mqloop::bench
