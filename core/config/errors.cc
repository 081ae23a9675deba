#include "core/config/errors.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace mqloop::config {

void Errors::add(const Position& position, std::string_view message, ErrorKind kind) {
  Error error;
  error.kind = kind;
  if (position.source != nullptr) {
    error.source = position.source->name;
    error.line = position.line;
    error.column = position.column;
  }
  error.message = message;
  add(std::move(error));
}

void Errors::add(const ConfigNode& node, std::string_view message, ErrorKind kind) {
  const Node* at = Access::node_or_parent(node);
  add(at == nullptr ? Position{} : at->position, message, kind);
}

void Errors::add(Error error) {
  ++count_;
  if (errors_.size() < kKept) errors_.push_back(std::move(error));
}

void Errors::add(const Status& status, ErrorKind kind) {
  if (!status.ok()) add(Position{}, status.message(), kind);
}

void Errors::warn(const Position& position, std::string_view message) {
  if (position.source != nullptr) {
    warnings_ += position.source->name;
    if (position.line != 0) warnings_ += ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
    warnings_ += ": ";
  }
  warnings_ += "warning: ";
  warnings_ += message;
  warnings_ += '\n';
}

bool Errors::has(ErrorKind kind) const noexcept {
  return std::any_of(errors_.begin(), errors_.end(), [kind](const Error& error) { return error.kind == kind; });
}

std::string Errors::text() const {
  // Files in the order in which they first appear; what has no place in a file comes last.
  std::vector<std::string_view> sources;
  const auto rank = [&sources](const Error& error) {
    const auto found = std::find(sources.begin(), sources.end(), error.source);
    return static_cast<std::size_t>(found - sources.begin());
  };
  for (const Error& error : errors_) {
    if (!error.source.empty() && rank(error) == sources.size()) sources.push_back(error.source);
  }
  std::vector<const Error*> sorted;
  sorted.reserve(errors_.size());
  for (const Error& error : errors_) sorted.push_back(&error);
  std::stable_sort(sorted.begin(), sorted.end(), [&rank](const Error* a, const Error* b) {
    return std::make_tuple(rank(*a), a->line, a->column) < std::make_tuple(rank(*b), b->line, b->column);
  });

  std::string out;
  const std::size_t shown = std::min(sorted.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) {
    const Error& error = *sorted[i];
    if (!error.source.empty()) {
      out += error.source;
      if (error.line != 0) out += ':' + std::to_string(error.line) + ':' + std::to_string(error.column);
      out += ": ";
    }
    out += error.message;
    out += '\n';
    out += error.excerpt;
  }
  if (count_ > shown) out += "... and " + std::to_string(count_ - shown) + " more\n";
  return out;
}

}  // namespace mqloop::config
