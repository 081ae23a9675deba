// The one JSON object that a run prints, written key by key. README.md tells what each key means.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/bench/load/meter.h"
#include "tests/bench/load/options.h"

namespace mqloop::load {

class Report {
 public:
  Report() = default;
  // Begins with the scenario and what it speaks.
  explicit Report(const Options& options);

  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, double value, int decimals = 3);
  template <typename Integer>
  void count(std::string_view key, Integer value) {
    integer(key, static_cast<int64_t>(value));
  }
  // CPU, memory and context switches of the window, per message where there were any.
  void meter(const Meter& meter, double messages);
  void begin_list(std::string_view key);
  void item(const Report& report) { add_item(report.object()); }
  void end_list() { json_ += ']'; }

  void print() const;

 private:
  void add_key(std::string_view key);
  void add_item(const std::string& object);
  void integer(std::string_view key, int64_t value);
  std::string object() const { return json_ + '}'; }

  std::string json_ = "{";
};

}  // namespace mqloop::load
