// What is wrong with a text that is not YAML, said so that a person finds it: where a bracket or a quote was left open
// (the parser notices only at the end of the file), tabs, bytes that are no text. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/document.h"
#include "core/config/errors.h"

namespace mqloop::config {

// The lines of a text; places are counted from 0 and in bytes, as yaml-cpp does.
class Lines {
 public:
  explicit Lines(std::string_view text);
  [[nodiscard]] std::string_view operator[](std::size_t line) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return lines_.size(); }
  // What people count: from 1, characters.
  [[nodiscard]] Position position(const Source* source, std::size_t line, std::size_t byte) const noexcept;
  // The line and a caret below the place, indented, each with a newline.
  [[nodiscard]] std::string excerpt(std::size_t line, std::size_t byte) const;

 private:
  std::vector<std::string_view> lines_;
};

struct Mistake {
  std::size_t line = 0;
  std::size_t byte = 0;
  std::string message;
};

// Before parsing: not UTF-8, control bytes, a tab in the indentation.
[[nodiscard]] std::optional<Mistake> find_foreign_bytes(const Lines& lines);
// A quoted text that starts at this place and does not end on its line.
[[nodiscard]] std::optional<Mistake> find_open_quote(const Lines& lines, std::size_t line, std::size_t byte);
// After the parser gave up: the bracket or quote that was never closed, if that was it.
[[nodiscard]] std::optional<Mistake> find_unclosed(const Lines& lines);
// The parser's complaint in other words.
[[nodiscard]] std::string explain(std::string_view complaint);

}  // namespace mqloop::config
