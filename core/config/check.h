// The schema check, in two stages. First the core's own schema is held against the whole tree; what belongs to a plugin
// (its `config:` block, a transport's own keys in a listener) is passed through unchecked. Then, for each plugin that
// was loaded, the host calls check() with the schema that the plugin described and the ConfigNode of that block, and
// configures the plugin with the root of the Document it gets, which it keeps as long as the plugin instance.
//
//   Schema schema;
//   plugin.describe(schema);
//   config::Document block = config::check(schema, instance.config, errors);
//   if (errors.empty()) status = plugin.configure(block.root());
#pragma once

#include <string_view>

#include <mqloop/config.h>

#include "core/config/document.h"
#include "core/config/errors.h"

namespace mqloop::config {

// getenv or a test's stand-in.
using Environment = const char* (*)(const char* name);
[[nodiscard]] MQLOOP_API const char* process_environment(const char* name);

struct CheckOptions {
  // Put before the names of keys in messages: "limits" gives `limits.max_qos: ...`. Empty: the block's own keys only.
  std::string_view path = {};
  // Keys that this block holds beside those of `schema` and that another schema has checked: copied as they are, and
  // offered when a key is misspelt. For a transport: the listener's own keys.
  const Schema* checked_before = nullptr;
  // Where relative paths start. Empty: at the folder of the file that has them.
  std::string_view folder = {};
  // For ${VAR} in a default.
  Environment environment = process_environment;
};

// A new tree: the values of `node`, typed, with the defaults of what it leaves out. `node` may be missing or null,
// which is an empty block. All mistakes are added to `errors`; the tree is to be used only when there were none.
[[nodiscard]] MQLOOP_API Document check(const Schema& schema, const ConfigNode& node, Errors& errors,
                                        const CheckOptions& options = {});

}  // namespace mqloop::config
