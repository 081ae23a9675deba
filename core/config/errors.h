// Every mistake found in a configuration, collected so that a person mends them in one go. Printed in the order of
// files and lines, at most kShown of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

#include "core/config/document.h"

namespace mqloop::config {

// What kind of mistake it is; the daemon's exit code follows from it.
enum class ErrorKind : std::uint8_t { kConfig, kFile, kPlugin };

struct Error {
  ErrorKind kind = ErrorKind::kConfig;
  std::string source;  // empty: no position
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string message;
  std::string excerpt;  // the line of the file and a caret below, for a mistake in the YAML itself
};

class MQLOOP_API Errors {
 public:
  static constexpr std::size_t kShown = 20;
  // Beyond this many the rest are only counted.
  static constexpr std::size_t kKept = 1000;

  void add(const Position& position, std::string_view message, ErrorKind kind = ErrorKind::kConfig);
  void add(const ConfigNode& node, std::string_view message, ErrorKind kind = ErrorKind::kConfig);
  void add(Error error);
  // What a plugin's configure() returned (ConfigNode::error() has put the position into its text).
  void add(const Status& status, ErrorKind kind);
  // No mistake, but somebody should know.
  void warn(const Position& position, std::string_view message);

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  // In the order of discovery.
  [[nodiscard]] const std::vector<Error>& all() const noexcept { return errors_; }
  [[nodiscard]] bool has(ErrorKind kind) const noexcept;
  // One line each (and its excerpt), sorted, each with a newline; after kShown `... and 3 more`.
  [[nodiscard]] std::string text() const;
  // One line each, with a newline, in the order of discovery.
  [[nodiscard]] const std::string& warnings() const noexcept { return warnings_; }

 private:
  std::vector<Error> errors_;
  std::size_t count_ = 0;
  std::string warnings_;
};

}  // namespace mqloop::config
