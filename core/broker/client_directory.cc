#include "core/broker/client_directory.h"

#include <cassert>
#include <span>

namespace mqloop::broker {

std::uint32_t ClientDirectory::Shard::find(std::uint32_t hash, std::string_view client_id) const noexcept {
  return index.find(hash, [&](std::uint32_t number) { return entries[number].client_id == client_id; });
}

template <typename Change>
void ClientDirectory::change(std::string_view client_id, Change change) {
  const std::uint64_t hash = hash_of(client_id);
  const auto place = static_cast<std::uint32_t>(hash);
  Shard& shard = shard_of(hash);
  const std::lock_guard guard(shard.lock);
  const std::uint32_t number = shard.find(place, client_id);
  assert(number != 0);
  Entry& entry = shard.entries[number];
  change(entry);
  if (entry.arrivals != 0 || entry.has_session) return;
  shard.text_bytes -= entry.client_id.footprint();
  shard.index.erase(place, number);
  shard.entries.give_back(number);
}

std::uint32_t ClientDirectory::claim(std::string_view client_id, std::uint32_t here) {
  const std::uint64_t hash = hash_of(client_id);
  const auto place = static_cast<std::uint32_t>(hash);
  Shard& shard = shard_of(hash);
  const std::lock_guard guard(shard.lock);
  if (const std::uint32_t number = shard.find(place, client_id); number != 0) {
    Entry& entry = shard.entries[number];
    ++entry.arrivals;
    return entry.home;
  }
  const std::uint32_t number = shard.entries.take();
  Entry& entry = shard.entries[number];
  entry.client_id = ShortText(client_id);
  entry.home = here;
  entry.arrivals = 1;
  shard.text_bytes += entry.client_id.footprint();
  shard.index.insert(place, number);
  return here;
}

void ClientDirectory::settled(std::string_view client_id) {
  change(client_id, [](Entry& entry) {
    --entry.arrivals;
    entry.has_session = 1;
  });
}

void ClientDirectory::abandoned(std::string_view client_id) {
  change(client_id, [](Entry& entry) { --entry.arrivals; });
}

void ClientDirectory::session_ended(std::string_view client_id) {
  change(client_id, [](Entry& entry) { entry.has_session = 0; });
}

std::size_t ClientDirectory::size() const {
  std::size_t size = 0;
  for (const Shard& shard : std::span(shards_.get(), kShards)) {
    const std::lock_guard guard(shard.lock);
    size += shard.index.size();
  }
  return size;
}

std::size_t ClientDirectory::footprint() const {
  std::size_t bytes = 0;
  for (const Shard& shard : std::span(shards_.get(), kShards)) {
    const std::lock_guard guard(shard.lock);
    bytes += shard.index.footprint() + shard.entries.footprint() + shard.text_bytes;
  }
  return bytes;
}

}  // namespace mqloop::broker
