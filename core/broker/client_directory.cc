#include "core/broker/client_directory.h"

#include <cassert>

namespace mqloop::broker {

ClientDirectory::ClientDirectory(HashSeed seed) : seed_(seed) {
  for (std::size_t i = 0; i != kShards; ++i) shards_.emplace_back(seed_);
}

ClientDirectory::Shard& ClientDirectory::shard_of(std::string_view client_id) {
  return shards_[(seeded_hash(seed_, client_id) >> 32) % kShards];
}

template <typename Change>
void ClientDirectory::change(std::string_view client_id, Change change) {
  Shard& shard = shard_of(client_id);
  const std::lock_guard guard(shard.lock);
  const auto found = shard.entries.find(client_id);
  assert(found != shard.entries.end());
  change(found->second);
  if (found->second.arrivals == 0 && !found->second.has_session) shard.entries.erase(found);
}

std::uint32_t ClientDirectory::claim(std::string_view client_id, std::uint32_t here) {
  Shard& shard = shard_of(client_id);
  const std::lock_guard guard(shard.lock);
  const auto found = shard.entries.find(client_id);
  if (found != shard.entries.end()) {
    ++found->second.arrivals;
    return found->second.home;
  }
  shard.entries.emplace(client_id, Entry{here, 1, false});
  return here;
}

void ClientDirectory::settled(std::string_view client_id) {
  change(client_id, [](Entry& entry) {
    --entry.arrivals;
    entry.has_session = true;
  });
}

void ClientDirectory::abandoned(std::string_view client_id) {
  change(client_id, [](Entry& entry) { --entry.arrivals; });
}

void ClientDirectory::session_ended(std::string_view client_id) {
  change(client_id, [](Entry& entry) { entry.has_session = false; });
}

std::size_t ClientDirectory::size() const {
  std::size_t size = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard guard(shard.lock);
    size += shard.entries.size();
  }
  return size;
}

}  // namespace mqloop::broker
