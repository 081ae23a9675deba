// Which reactor is the home of a client identifier. Shared by all reactors, 64 locks.
//
// An entry is a reservation: it stands while its home holds a session of that client, or while a connection is on its
// way there. So two CONNECTs with one identifier at once, or a session that ends while a connection travels to it, are
// ordinary cases:
//
//   event                                  entry before          entry after
//   claim() by a connection at reactor R   none                  {home R, 1 arrival}
//   claim() anywhere                       {home H, n}           {home H, n + 1}; the connection goes to H
//   settled(session) at H                  {home H, n}           {home H, n - 1, session}
//   abandoned() at H                       {home H, n}           {home H, n - 1}, gone when nothing is left
//   session_ended() at H                   {home H, n, session}  {home H, n}, gone when nothing is left
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/seeded_hash.h"

namespace mqloop::broker {

class ClientDirectory {
 public:
  explicit ClientDirectory(HashSeed seed);

  // Announces a connection that asks for `client_id`, seen at reactor `here`; answers the home that it must go to.
  [[nodiscard]] std::uint32_t claim(std::string_view client_id, std::uint32_t here);
  // At home: the announced connection has arrived and its session stands.
  void settled(std::string_view client_id);
  // At home: the announced connection came to nothing.
  void abandoned(std::string_view client_id);
  // At home: the session is gone.
  void session_ended(std::string_view client_id);

  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    std::uint32_t home;
    std::uint32_t arrivals;
    bool has_session;
  };
  struct Shard {
    explicit Shard(HashSeed seed) : entries(0, SeededStringHash{seed}) {}
    mutable std::mutex lock;
    std::unordered_map<std::string, Entry, SeededStringHash, std::equal_to<>> entries;
  };
  static constexpr std::size_t kShards = 64;

  Shard& shard_of(std::string_view client_id);
  template <typename Change>
  void change(std::string_view client_id, Change change);

  HashSeed seed_;
  std::deque<Shard> shards_;  // kShards of them, never fewer or more
};

}  // namespace mqloop::broker
