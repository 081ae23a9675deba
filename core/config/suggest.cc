#include "core/config/suggest.h"

#include <algorithm>
#include <vector>

namespace mqloop::config {
namespace {

// Longer names are not mistyped ones, and comparing them costs the square of their length.
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kFarthest = 2;

// Two edits would turn a short name into anything, one a single letter.
std::size_t farthest_for(std::string_view name) { return name.size() <= 1 ? 0 : name.size() <= 4 ? 1 : kFarthest; }

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  const std::size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference > limit || a.size() > kLongestName || b.size() > kLongestName) return limit + 1;
  // Row i of the table holds the distances from a[0, i) to every beginning of b; a swap looks two rows back.
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return std::min(row[b.size()], limit + 1);
}

std::string_view nearest(std::string_view name, std::span<const std::string> names) {
  std::size_t best = farthest_for(name) + 1;
  std::string_view found;
  for (const std::string& candidate : names) {
    const std::size_t distance = edit_distance(name, candidate, kFarthest);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

}  // namespace mqloop::config
