// The figures of a program: what a piece of work costs in instructions and in allocations. Neither moves with the
// machine or with what else runs on it. Run by itself the program prints allocations, one figure a line:
//     NAME <tab> UNIT <tab> VALUE
// Run by valgrind --tool=callgrind --instr-atstart=no --collect-atstart=no it leaves instructions, in a file for each
// figure whose "desc: Trigger: Client Request:" reads NAME|THING|NUMBER OF THINGS. tests/bench/run does both. One
// thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace mqloop::bench {

// Instructions are being counted: time for small numbers of things.
[[nodiscard]] bool counts_instructions() noexcept;

// What happens while one lives is counted, between begin_figure() and end_figure(). No two live at a time.
class Counted {
 public:
  Counted() noexcept;
  ~Counted();
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

// What happens while one lives is not, though a Counted does: the work of the bench itself, called by what it measures.
class Uncounted {
 public:
  Uncounted() noexcept;
  ~Uncounted();
  Uncounted(const Uncounted&) = delete;
  Uncounted& operator=(const Uncounted&) = delete;

 private:
  bool was_counting_;
};

void begin_figure() noexcept;
// "NAME: so many instructions, so many allocations per THING".
void end_figure(std::string_view name, std::string_view thing, std::uint64_t things);

// `work` does what it does to so many things.
template <typename Work>
void measure(std::string_view name, std::string_view thing, std::uint64_t things, Work&& work) {
  begin_figure();
  {
    const Counted counted;
    work();
  }
  end_figure(name, thing, things);
}

// A figure that the program has counted by itself.
void print_figure(std::string_view name, std::string_view unit, double value);

// The answer of the code that is measured is wrong, so its figures are worth nothing: ends the program.
void expect(bool holds, const char* what);

}  // namespace mqloop::bench
