// One scalar held against one option: its type, its bounds, its words. Fills the value part of a node.
#pragma once

#include <string>
#include <string_view>

#include "core/config/document.h"
#include "core/config/schema.h"

namespace mqloop::config {

// Sets type, integer, number and (for a word) text of `node` from node.text. False with `complaint` when the text is
// none of what the rule allows.
[[nodiscard]] bool set_value(Node& node, const OptionRule& rule, std::string& complaint);

// An absolute path: `path` as seen from `folder`, without dots.
[[nodiscard]] std::string absolute_path(std::string_view path, std::string_view folder);

// The content of a secret's file less one final newline; `complaint` says why there is none, or, when there is, what is
// wrong with the file all the same: everybody may read it.
[[nodiscard]] bool read_secret(const std::string& file, std::string& content, std::string& complaint);

}  // namespace mqloop::config
