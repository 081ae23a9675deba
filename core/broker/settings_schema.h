// The table of every key that the core itself understands: name, type, default, range, one line of help. The one place
// where keys are defined; settings.cc gives them their C++ types, and a test holds the two and etc/mqloop.yaml against
// each other.
#pragma once

#include <mqloop/config.h>

namespace mqloop::broker {

// Fills `schema`. What belongs to plugins is left to them: the `config:` blocks are not looked into, and a listener's
// keys that are not described here are its transport's.
MQLOOP_API void describe_core(Schema& schema);

// The keys that every listener has, whatever its transport: CheckOptions::checked_before for the transport's own
// schema.
[[nodiscard]] MQLOOP_API const Schema& listener_schema(const Schema& core);

}  // namespace mqloop::broker
