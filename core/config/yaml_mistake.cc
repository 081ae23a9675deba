#include "core/config/yaml_mistake.h"

#include <algorithm>
#include <utility>

#include "core/base/utf8.h"

namespace mqloop::config {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; }

std::size_t indentation(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  return first == std::string_view::npos ? line.size() : first;
}

// Where the quoted text that starts at `opening` ends; npos when that is not on this line.
std::size_t closing_quote(std::string_view line, std::size_t opening) {
  const char quote = line[opening];
  for (std::size_t byte = opening + 1; byte < line.size(); ++byte) {
    if (quote == '"' && line[byte] == '\\') {
      ++byte;
    } else if (line[byte] == quote) {
      if (quote == '"' || byte + 1 >= line.size() || line[byte + 1] != '\'') return byte;
      ++byte;
    }
  }
  return std::string_view::npos;
}

// Walks a text as far as brackets and quotes need it: what is quoted, commented or the body of a block scalar is
// skipped.
class BracketWalk {
 public:
  explicit BracketWalk(const Lines& lines) : lines_(lines) {}

  std::optional<Mistake> run() {
    for (line_ = 0; line_ < lines_.size(); ++line_) {
      if (auto mistake = walk_line()) return mistake;
      skip_block_scalar();
    }
    if (open_.empty()) return std::nullopt;
    return never_closed(open_.back());
  }

 private:
  struct Bracket {
    std::size_t line;
    std::size_t byte;
    char opener;
  };

  static Mistake never_closed(const Bracket& bracket) {
    return {bracket.line, bracket.byte, std::string("this '") + bracket.opener + "' is never closed"};
  }

  // Whether a value may begin here, so that a bracket or a quote is one and not part of a plain text.
  [[nodiscard]] bool at_value_start(std::string_view line, std::size_t byte) const {
    std::size_t before = byte;
    while (before > 0 && is_blank(line[before - 1])) --before;
    if (before == 0) return true;
    const char c = line[before - 1];
    if (!open_.empty()) return c == '[' || c == '{' || c == ',' || c == ':';
    return before < byte && (c == ':' || c == '-' || c == '?');
  }

  std::optional<Mistake> walk_line() {
    const std::string_view line = lines_[line_];
    for (std::size_t byte = 0; byte < line.size(); ++byte) {
      const char c = line[byte];
      if (c == '#' && (byte == 0 || is_blank(line[byte - 1]))) return std::nullopt;
      if ((c == '"' || c == '\'') && at_value_start(line, byte)) {
        if (auto mistake = find_open_quote(lines_, line_, byte)) return mistake;
        byte = closing_quote(line, byte);
      } else if ((c == '[' || c == '{') && (!open_.empty() || at_value_start(line, byte))) {
        open_.push_back({line_, byte, c});
      } else if ((c == ']' || c == '}') && !open_.empty()) {
        if ((open_.back().opener == '[') != (c == ']')) return never_closed(open_.back());
        open_.pop_back();
      }
    }
    return std::nullopt;
  }

  // After `key: |` and the like: the deeper lines are its text.
  void skip_block_scalar() {
    if (!open_.empty()) return;
    std::string_view line = lines_[line_];
    if (const std::size_t comment = line.find(" #"); comment != std::string_view::npos) line = line.substr(0, comment);
    std::size_t end = line.find_last_not_of(" +-0123456789");
    if (end == std::string_view::npos || end == 0 || (line[end] != '|' && line[end] != '>')) return;
    if (!is_blank(line[end - 1])) return;
    const std::size_t parent = indentation(line);
    while (line_ + 1 < lines_.size()) {
      const std::string_view next = lines_[line_ + 1];
      if (indentation(next) != next.size() && indentation(next) <= parent) return;
      ++line_;
    }
  }

  const Lines& lines_;
  std::size_t line_ = 0;
  std::vector<Bracket> open_;
};

}  // namespace

Lines::Lines(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines_.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string_view Lines::operator[](std::size_t line) const noexcept {
  return line < lines_.size() ? lines_[line] : std::string_view();
}

Position Lines::position(const Source* source, std::size_t line, std::size_t byte) const noexcept {
  const std::string_view before = (*this)[line].substr(0, std::min(byte, (*this)[line].size()));
  const auto characters =
      static_cast<std::size_t>(std::count_if(before.begin(), before.end(), [](char c) { return !is_continuation(c); }));
  return {source, static_cast<std::uint32_t>(line + 1), static_cast<std::uint32_t>(characters + 1)};
}

std::string Lines::excerpt(std::size_t line, std::size_t byte) const {
  constexpr std::size_t kBefore = 60;
  constexpr std::size_t kWidth = 100;
  std::string_view text = (*this)[line];
  byte = std::min(byte, text.size());
  std::size_t start = byte > kBefore ? byte - kBefore : 0;
  while (start > 0 && is_continuation(text[start])) --start;
  std::size_t end = std::min(text.size(), start + kWidth);
  while (end < text.size() && is_continuation(text[end])) ++end;
  std::string out = "    ";
  for (const char c : text.substr(start, end - start))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  if (!is_utf8(out)) return {};
  out += "\n    ";
  for (const char c : text.substr(start, byte - start)) {
    if (!is_continuation(c)) out += ' ';
  }
  out += "^\n";
  return out;
}

std::optional<Mistake> find_foreign_bytes(const Lines& lines) {
  for (std::size_t number = 0; number < lines.size(); ++number) {
    const std::string_view line = lines[number];
    if (const std::size_t good = utf8_prefix_length(line); good != line.size()) {
      return Mistake{number, good, "this is not UTF-8 text"};
    }
    const std::size_t control = static_cast<std::size_t>(
        std::find_if(line.begin(), line.end(),
                     [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }) -
        line.begin());
    if (control != line.size()) return Mistake{number, control, "a control character: a configuration is plain text"};
    const std::size_t first = std::min(line.find_first_not_of(" \t"), line.size());
    const std::size_t tab = line.substr(0, first).find('\t');
    if (tab != std::string_view::npos && first != line.size()) {
      return Mistake{number, tab, "a tab in the indentation: use spaces"};
    }
  }
  return std::nullopt;
}

std::optional<Mistake> find_open_quote(const Lines& lines, std::size_t line, std::size_t byte) {
  const std::string_view text = lines[line];
  if (byte >= text.size() || (text[byte] != '"' && text[byte] != '\'')) return std::nullopt;
  if (closing_quote(text, byte) != std::string_view::npos) return std::nullopt;
  return Mistake{line, byte, std::string("this ") + text[byte] + " is never closed on its line"};
}

std::optional<Mistake> find_unclosed(const Lines& lines) { return BracketWalk(lines).run(); }

std::string explain(std::string_view complaint) {
  static constexpr std::pair<std::string_view, std::string_view> kOtherWords[] = {
      {"illegal map value",
       "a key is not expected here: is the line indented like its neighbours? A text that contains ': ' needs quotes"},
      {"illegal block entry", "a list item ('- ') is not expected here: it stands on a line of its own"},
      {"end of map not found", "neither a key nor a value is expected here: is the line indented like its neighbours?"},
      {"end of sequence not found", "a list item ('- ') is expected here: is the line indented like its neighbours?"},
      {"end of map flow not found", "a ',' or a '}' is expected here"},
      {"end of sequence flow not found", "a ',' or a ']' is expected here"},
      {"illegal flow end", "this bracket closes nothing"},
      {"unknown token", "a text that starts with this character needs quotes"},
      {"the referenced anchor is not defined", "there is no anchor of this name above"},
      {"bad file", "nested too deeply"},
  };
  for (const auto& [theirs, ours] : kOtherWords) {
    if (complaint.starts_with(theirs)) return std::string(ours);
  }
  return "this is not YAML: " + std::string(complaint);
}

}  // namespace mqloop::config
