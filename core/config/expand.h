// ${VAR} in scalars, after the YAML was read, so that a value cannot bring structure with it.
//   ${VAR}            its value; a mistake when it is not set
//   ${VAR:-default}   the default when it is not set or empty
//   ${VAR:?message}   a mistake with this message when it is not set or empty
//   $${               the two characters ${
#pragma once

#include <string>
#include <string_view>

#include "core/config/check.h"
#include "core/config/document.h"
#include "core/config/errors.h"

namespace mqloop::config {

// False, with `complaint` set, when a variable is missing or the text is no such form. `out` is the whole text.
[[nodiscard]] bool expand(std::string_view text, Environment environment, std::string& out, std::string& complaint);

// Every scalar below `node`.
void expand_tree(Node& node, Environment environment, Errors& errors);

}  // namespace mqloop::config
