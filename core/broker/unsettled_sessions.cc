#include "core/broker/unsettled_sessions.h"

#include <limits>

#include "core/broker/client_directory.h"
#include "core/broker/session.h"

namespace mqloop::broker {

void UnsettledSessions::add(const Session& session, std::uint64_t turn) {
  all_.push_back({turn, session.client_key(), std::string(session.client_id())});
  latest_[session.client_key()] = turn;
  static_cast<void>(directory_.claim(session.client_id(), reactor_));  // it is here, as its session is
}

void UnsettledSessions::complete_through(std::uint64_t turn) {
  for (; !all_.empty() && all_.front().turn <= turn; all_.pop_front()) {
    const Unsettled& settled = all_.front();
    directory_.abandoned(settled.client_id);
    const auto found = latest_.find(settled.client_key);
    if (found != latest_.end() && found->second <= turn) latest_.erase(found);
  }
}

void UnsettledSessions::clear() { complete_through(std::numeric_limits<std::uint64_t>::max()); }

}  // namespace mqloop::broker
