// What is different between two configurations, key by key, and what it takes for each to have its effect. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>

#include "core/config/print.h"
#include "core/config/schema.h"

namespace mqloop::config {

// A checked tree, and the plugins' blocks in it as their schemas checked them.
struct Checked {
  ConfigNode root;
  const CheckedBlocks& blocks;
};

struct MQLOOP_API Change {
  enum class Kind : std::uint8_t { kChanged, kAdded, kRemoved };

  Kind kind = Kind::kChanged;
  Reload reload = Reload::kLive;
  std::vector<std::string> path;  // {"limits", "max_qos"}; an item of a list by its name, or else its index
  std::string from;               // of a value that changed; a secret or a value that no schema knows as `***`
  std::string to;

  // `limits.max_qos`
  [[nodiscard]] std::string key() const;
  // `limits.max_qos changed from 2 to 1`, `node.threads changed from 2 to 4: takes effect at the next start`,
  // `listeners.web added`
  [[nodiscard]] std::string text() const;
};

// In the order of `after`, what was removed from a block behind what is in it. `schema` is that of both trees. Blocks
// in a list are the same when they have the same name, wherever they stand.
[[nodiscard]] MQLOOP_API std::vector<Change> differences(const Schema& schema, const Checked& before,
                                                         const Checked& after);

// Two trees, or two missing ones, say the same; where they stand and how it is written makes no difference.
[[nodiscard]] bool means_the_same(const ConfigNode& a, const ConfigNode& b) noexcept;

}  // namespace mqloop::config
