// YAML text to a raw tree. The only file that sees yaml-cpp, and of it only the events: they become our own nodes, with
// positions, without what a configuration does better without (a key twice, merge keys, tags, several documents) and
// within bounds, so that no file, however hostile, costs more than its size.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/config/document.h"
#include "core/config/errors.h"

namespace mqloop::config {

inline constexpr std::size_t kMaxFileBytes = 1U << 20;
inline constexpr std::size_t kMaxNodes = 10'000;
inline constexpr std::size_t kMaxAliases = 64;
inline constexpr std::size_t kMaxDepth = 64;

// The root of the document, made in `document`, or nullptr after adding to `errors` why there is none. A text without
// content gives a null node. Mistakes that do not keep the rest from being read (a key twice) are added and the rest is
// read.
[[nodiscard]] Node* read_yaml(Document& document, const Source* source, std::string_view text, Errors& errors);

}  // namespace mqloop::config
