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
//
// However many clients there are, no call takes longer for it: what grows and shrinks does so a few entries a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "core/base/seeded_hash.h"
#include "core/broker/hash_index.h"
#include "core/broker/node_pool.h"
#include "core/broker/short_text.h"

namespace mqloop::broker {

class ClientDirectory {
 public:
  explicit ClientDirectory(HashSeed seed) : seed_(seed) {}

  // Announces a connection that asks for `client_id`, seen at reactor `here`; answers the home that it must go to.
  [[nodiscard]] std::uint32_t claim(std::string_view client_id, std::uint32_t here);
  // At home: the announced connection has arrived and its session stands.
  void settled(std::string_view client_id);
  // At home: the announced connection came to nothing.
  void abandoned(std::string_view client_id);
  // At home: the session is gone.
  void session_ended(std::string_view client_id);

  [[nodiscard]] std::size_t size() const;
  // Heap memory, long client identifiers included.
  [[nodiscard]] std::size_t footprint() const;

 private:
  struct Entry {
    ShortText client_id;
    std::uint32_t home = 0;
    std::uint32_t arrivals : 31 = 0;
    std::uint32_t has_session : 1 = 0;
  };
  static_assert(sizeof(Entry) == 24);
  struct alignas(64) Shard {
    Shard() { entries.take(); }  // number 0 says "none"
    [[nodiscard]] std::uint32_t find(std::uint32_t hash, std::string_view client_id) const noexcept;

    mutable std::mutex lock;
    HashIndex index;
    NodePool<Entry, 64> entries;
    std::size_t text_bytes = 0;
  };
  static constexpr std::size_t kShards = 64;

  // The upper half of a client's hash chooses its shard, the lower half its place there.
  [[nodiscard]] std::uint64_t hash_of(std::string_view client_id) const noexcept {
    return seeded_hash(seed_, client_id);
  }
  [[nodiscard]] Shard& shard_of(std::uint64_t hash) noexcept { return shards_[(hash >> 32) % kShards]; }
  template <typename Change>
  void change(std::string_view client_id, Change change);

  HashSeed seed_;
  std::unique_ptr<Shard[]> shards_ = std::make_unique<Shard[]>(kShards);  // apart, so that no owner is over-aligned
};

}  // namespace mqloop::broker
