// How several writers make one tree: an included file adds and never overrides; `--set` overrides.
#pragma once

#include <string_view>

#include <mqloop/config.h>

#include "core/config/document.h"
#include "core/config/errors.h"

namespace mqloop::config {

// Adds what `from` says to `into`: maps key by key, lists at their end. A scalar that both set is a mistake.
void merge(Node& into, Node& from, std::string_view path, Errors& errors);

// Applies one `a.b=c`. A block of a list is found by its name or its index (from 0). The value is a scalar's text, or
// YAML when it begins with '[' or '{'.
void override_value(Document& document, std::string_view assignment, const Schema& schema, Errors& errors);

}  // namespace mqloop::config
