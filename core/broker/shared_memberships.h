// The shared subscriptions of one session. Owned by the Session, made with the first and freed with the last; its
// reactor's thread only. A membership keeps its place while anything of the session refers to it: an OutboundEntry
// names the group that it came through by `place + 1`, also after the client has unsubscribed, because the group must
// get it back should the session end.
//
//   event                                              active     left                     (free)
//   SUBSCRIBE to the same text                         active     another place: active    active
//   UNSUBSCRIBE, something of it is in the window      left       -                        -
//   UNSUBSCRIBE, nothing is                            (free)     -                        -
//   the window holds nothing of it any more            -          (free)                   -
//   the session ends                                   (free)     (free)                   -
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mqloop/protocol.h>
#include <mqloop/ref.h>

#include "core/base/seeded_hash.h"
#include "core/broker/outbound.h"
#include "core/broker/shared_name.h"

namespace mqloop::broker {

class SharedMemberships {
 public:
  explicit SharedMemberships(HashSeed seed) : by_text_(0, SeededStringHash{seed}) {}

  struct Membership {
    Ref<const SharedName> name;  // null: the place is free
    std::uint64_t number = 0;    // 0: the client has unsubscribed
    std::uint32_t owner = 0;     // the reactor that has the group
    std::uint32_t identifier = 0;
    QoS qos = QoS::kAtMostOnce;
    bool retain_as_published = false;
    std::uint8_t access = 0;  // as Subscriber::access()

    [[nodiscard]] bool active() const noexcept { return number != 0; }
  };

  // The place of the active membership; size() when there is none.
  [[nodiscard]] std::uint32_t find(std::string_view text) const noexcept;
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(memberships_.size()); }
  [[nodiscard]] Membership& operator[](std::uint32_t place) noexcept { return memberships_[place]; }
  [[nodiscard]] const Membership& operator[](std::uint32_t place) const noexcept { return memberships_[place]; }
  // How many are active.
  [[nodiscard]] std::size_t count() const noexcept { return by_text_.size(); }

  // Nothing refers to any of it.
  [[nodiscard]] bool empty() const noexcept { return by_text_.empty() && left_ == 0; }

  // Takes a free place; `membership` is active.
  std::uint32_t add(Membership membership);
  // The client has unsubscribed: the place stays until free_places() finds that nothing refers to it.
  void leave(std::uint32_t place);
  // From here on each delivery is asked about, as Subscriber::access() says.
  void check_deliveries(std::uint8_t access) noexcept;
  // `outbound` may be null. The queue must hold nothing of a membership that was left.
  void free_places(Outbound* outbound);

 private:
  std::vector<Membership> memberships_;
  std::vector<std::uint32_t> free_;
  std::uint32_t left_ = 0;
  // Of active ones; the text is the name's.
  std::unordered_map<std::string_view, std::uint32_t, SeededStringHash, std::equal_to<>> by_text_;
};

}  // namespace mqloop::broker
