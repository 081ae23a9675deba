// The sessions of one reactor whose beginning or end its publisher has been told of and is not known to have kept yet.
// A client that comes back meanwhile is told nothing of its session before that is so: after a crash it could be
// otherwise. Until then the home of its identifier stays here. Part of a Publishing; its thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

namespace mqloop::broker {

class ClientDirectory;
class Session;

class UnsettledSessions {
 public:
  UnsettledSessions(ClientDirectory& directory, std::uint32_t reactor) : directory_(directory), reactor_(reactor) {}

  // `session`, which the directory still has, is settled when `turn` is complete; turns rise.
  void add(const Session& session, std::uint64_t turn);
  [[nodiscard]] bool has(std::uint64_t client_key) const { return latest_.contains(client_key); }
  void complete_through(std::uint64_t turn);
  // Nothing will be complete any more.
  void clear();

 private:
  struct Unsettled {
    std::uint64_t turn;
    std::uint64_t client_key;
    std::string client_id;
  };

  ClientDirectory& directory_;
  std::uint32_t reactor_;
  std::deque<Unsettled> all_;                                // by rising turn
  std::unordered_map<std::uint64_t, std::uint64_t> latest_;  // by client key, a keyed hash: its last turn in all_
};

}  // namespace mqloop::broker
