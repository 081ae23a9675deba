// Users and groups of this machine by name and number. Any thread; may ask whatever the system asks (nsswitch.conf), so
// it may block.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace mqloop::event {

// Of a name, or of a number that is written out.
[[nodiscard]] std::optional<uid_t> user_id(const std::string& name);
[[nodiscard]] std::optional<gid_t> group_id(const std::string& name);
// The number written out where the user has no name.
[[nodiscard]] std::string user_name(uid_t id);

}  // namespace mqloop::event
