// How values are written: the scalars of YAML 1.2's core schema and ours with units. Pure functions, any thread. Where
// a text is no such value, `complaint` says why and what to write instead, to stand behind the option's name.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>

namespace mqloop::config {

[[nodiscard]] std::optional<bool> parse_boolean(std::string_view text, std::string& complaint);
// 12  -3  0x1f  0o17; `010` is ten.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text, std::string& complaint);
[[nodiscard]] std::optional<double> parse_number(std::string_view text, std::string& complaint);
// 250ms 30s 5m 12h 7d, several in a row from large to small (1h30m), or infinite.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text, std::string& complaint);
// 512B 64KiB 1MiB 2GiB 1TiB.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text, std::string& complaint);
// Events a second: 100/s 6000/m 10/h.
[[nodiscard]] std::optional<double> parse_rate(std::string_view text, std::string& complaint);
// Bytes a second: 64KiB/s.
[[nodiscard]] std::optional<double> parse_byte_rate(std::string_view text, std::string& complaint);
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& complaint);

// 18h12m15s; `infinite`.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);
// 1 048 576
[[nodiscard]] std::string format_grouped(std::uint64_t number);

// Whether a host of an Endpoint is reachable from this machine alone: 127.0.0.0/8, ::1, localhost.
[[nodiscard]] bool is_loopback(std::string_view host);

// 'text', for messages; long text is cut.
[[nodiscard]] std::string in_quotes(std::string_view text);
// a, b, c
[[nodiscard]] std::string joined(const std::vector<std::string>& words);

}  // namespace mqloop::config
