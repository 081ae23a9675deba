// "Did you mean": the nearest of the names that would have been right.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <mqloop/export.h>

namespace mqloop::config {

// Edits from one to the other, a swap of neighbours counting as one (Damerau-Levenshtein, no part edited twice). Counts
// no further than `limit` + 1.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

// The nearest of `names` within two edits, the first of equals; empty when none is near. Of a name of up to four
// letters one edit at most: two would turn it into anything.
[[nodiscard]] MQLOOP_API std::string_view nearest(std::string_view name, std::span<const std::string> names);

}  // namespace mqloop::config
