#include "core/broker/address_counts.h"

#include <array>
#include <cstring>

#include "core/event/address_set.h"

namespace mqloop::broker {

std::size_t AddressCounts::Hash::operator()(const Key& key) const noexcept {
  std::array<char, sizeof key.prefix + 1> bytes;
  std::memcpy(bytes.data(), &key.prefix, sizeof key.prefix);
  bytes.back() = key.is_v6 ? 1 : 0;
  return seeded_hash(seed, {bytes.data(), bytes.size()});
}

std::optional<AddressCounts::Key> AddressCounts::key_of(std::string_view peer) noexcept {
  const auto address = event::ip_of_peer(peer);
  if (!address) return std::nullopt;
  const auto& bytes = address->bytes;
  Key key{0, !address->is_v4};
  // Of IPv4 there are four bytes, then zeros. Link-local addresses all have one prefix, and differ in the other half.
  const bool is_link_local = key.is_v6 && bytes[0] == 0xFE && (bytes[1] & 0xC0) == 0x80;
  std::memcpy(&key.prefix, bytes.data() + (is_link_local ? sizeof key.prefix : 0), sizeof key.prefix);
  return key;
}

bool AddressCounts::enter(std::string_view peer, std::uint32_t most) {
  const std::optional<Key> key = key_of(peer);
  if (!key) return true;
  const std::lock_guard hold(mutex_);
  std::uint32_t& count = counts_[*key];
  if (count >= most) return false;
  ++count;
  return true;
}

void AddressCounts::leave(std::string_view peer) noexcept {
  const std::optional<Key> key = key_of(peer);
  if (!key) return;
  const std::lock_guard hold(mutex_);
  const auto found = counts_.find(*key);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

std::size_t AddressCounts::addresses() const {
  const std::lock_guard hold(mutex_);
  return counts_.size();
}

}  // namespace mqloop::broker
