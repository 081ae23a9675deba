#include "tests/bench/load/report.h"

#include <cstdio>

namespace mqloop::load {

Report::Report(const Options& options) {
  text("scenario", options.scenario);
  if (!options.label.empty()) text("label", options.label);
  count("v", options.version);
  if (options.web_socket) count("ws", 1);
  if (options.frame_per_packet) count("ws_frame_per_packet", 1);
}

void Report::add_key(std::string_view key) {
  if (json_.back() != '{' && json_.back() != '[') json_ += ',';
  json_ += '"';
  json_ += key;
  json_ += "\":";
}

void Report::text(std::string_view key, std::string_view value) {
  add_key(key);
  json_ += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') json_ += '\\';
    json_ += c;
  }
  json_ += '"';
}

void Report::number(std::string_view key, double value, int decimals) {
  add_key(key);
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", decimals, value);
  json_ += buffer;
}

void Report::integer(std::string_view key, int64_t value) {
  add_key(key);
  json_ += std::to_string(value);
}

void Report::begin_list(std::string_view key) {
  add_key(key);
  json_ += '[';
}

void Report::add_item(const std::string& object) {
  if (json_.back() != '[') json_ += ',';
  json_ += object;
}

void Report::meter(const Meter& meter, double messages) {
  number("secs", meter.seconds());
  if (meter.broker().is_named() && meter.broker_died()) {
    count("broker_died", 1);
  } else if (meter.broker().is_named()) {
    number("broker_cpu_s", meter.broker_cpu_seconds());
    if (messages > 0) number("broker_us_per_msg", meter.broker_us_per(messages), 4);
    number("broker_cores", meter.broker_cpu_seconds() / meter.seconds());
    if (messages > 0) number("ctxsw_per_msg", static_cast<double>(meter.context_switches()) / messages, 4);
    count("broker_threads", meter.broker_threads());
    count("rss_before_kb", meter.resident_kib_before());
    count("rss_after_kb", meter.resident_kib_after());
    count("rss_peak_kb", meter.peak_kib());
  }
  number("gen_cpu_s", meter.own_cpu_seconds());
  if (messages > 0) number("gen_us_per_msg", meter.own_cpu_seconds() * 1e6 / messages, 4);
  number("gen_cores", meter.own_cpu_seconds() / meter.seconds());
  number("machine_busy_s", meter.machine_busy());
  number("steal_s", meter.machine_stolen());
  number("load1", load_average(), 2);
}

void Report::print() const {
  std::puts(object().c_str());
  std::fflush(stdout);
}

}  // namespace mqloop::load
