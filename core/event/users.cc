#include "core/event/users.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <charconv>
#include <vector>

namespace mqloop::event {

namespace {

constexpr std::size_t kMostRoom = 1 << 20;

std::optional<std::uint32_t> number_in(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Calls one of the get..._r(), with more room until that is enough, and `use` with what it finds.
template <typename Entry, typename Find, typename Use>
void look_up(Find find, Use use) {
  for (std::vector<char> room(1024); room.size() <= kMostRoom; room.resize(room.size() * 4)) {
    Entry entry;
    Entry* found = nullptr;
    if (find(&entry, room.data(), room.size(), &found) == ERANGE) continue;
    if (found != nullptr) use(*found);
    return;
  }
}

}  // namespace

std::optional<uid_t> user_id(const std::string& name) {
  std::optional<uid_t> id;
  look_up<passwd>([&](auto... to) { return getpwnam_r(name.c_str(), to...); },
                  [&](const passwd& user) { id = user.pw_uid; });
  return id ? id : number_in(name);
}

std::optional<gid_t> group_id(const std::string& name) {
  std::optional<gid_t> id;
  look_up<group>([&](auto... to) { return getgrnam_r(name.c_str(), to...); },
                 [&](const group& group) { id = group.gr_gid; });
  return id ? id : number_in(name);
}

std::string user_name(uid_t id) {
  std::string name = std::to_string(id);
  look_up<passwd>([&](auto... to) { return getpwuid_r(id, to...); }, [&](const passwd& user) { name = user.pw_name; });
  return name;
}

}  // namespace mqloop::event
