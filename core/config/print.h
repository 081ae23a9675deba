// Configuration as text: the whole of it with the place each value comes from, the defaults with their help, the JSON
// Schema for editors, and the options in the manual. All come from the schema's table, so none can be out of date.
#pragma once

#include <map>
#include <string>

#include <mqloop/config.h>

#include "core/config/document.h"

namespace mqloop::config {

// For an unchecked block of a plugin, keyed by its node, the block as the plugin's own schema checked it.
using CheckedBlocks = std::map<const Node*, ConfigNode>;

// Every key of a checked tree as YAML, one a line, with `# file:line` or `# default` behind it. Read back it means the
// same, save secrets, which are not shown; nor is a value that no schema has checked, since it might be one.
[[nodiscard]] MQLOOP_API std::string print_effective(const ConfigNode& root, const CheckedBlocks& blocks = {});

// A configuration file that says what would hold without it, with the help of every key; blocks of which there are none
// by default stand in comments.
[[nodiscard]] MQLOOP_API std::string print_default(const Schema& schema);

// JSON Schema (2020-12).
[[nodiscard]] MQLOOP_API std::string print_json_schema(const Schema& schema);

// The list of options in mqloop.yaml(5), in mdoc(7).
[[nodiscard]] MQLOOP_API std::string print_manual(const Schema& schema);

}  // namespace mqloop::config
