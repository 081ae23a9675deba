// From files and the command line to one raw tree: the file, what it includes, then `--set`, with ${VAR} expanded. What
// a key means is not known here; check() tells.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <mqloop/config.h>

#include "core/config/check.h"
#include "core/config/document.h"
#include "core/config/errors.h"

namespace mqloop::config {

struct Input {
  std::string file;                             // "" = none: an empty configuration
  std::span<const std::string> overrides = {};  // `limits.max_qos=1`, `listeners.local.bind=...`, in order
  Environment environment = process_environment;
};

// `schema` supplies what overrides and includes start from where the file says nothing: the default of a list that an
// override reaches into, and of `include`. Mistakes go to `errors`; the document has no root when the
// file itself could not be read.
[[nodiscard]] Document load(const Input& input, const Schema& schema, Errors& errors);

}  // namespace mqloop::config
