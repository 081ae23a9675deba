#include "core/broker/address_counts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace mqloop::broker {

std::size_t AddressCounts::Hash::operator()(const Key& key) const noexcept {
  std::array<char, sizeof key.prefix + 1> bytes;
  std::memcpy(bytes.data(), &key.prefix, sizeof key.prefix);
  bytes.back() = key.is_v6 ? 1 : 0;
  return seeded_hash(seed, {bytes.data(), bytes.size()});
}

// "192.0.2.1:51234" or "[2001:db8::1]:51234".
std::optional<AddressCounts::Key> AddressCounts::key_of(std::string_view peer) noexcept {
  const bool is_v6 = peer.starts_with('[');
  const std::size_t end = is_v6 ? peer.find(']') : peer.rfind(':');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view host = is_v6 ? peer.substr(1, end - 1) : peer.substr(0, end);
  host = host.substr(0, host.find('%'));  // an interface
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (host.size() >= text.size()) return std::nullopt;
  std::copy(host.begin(), host.end(), text.begin());
  std::array<std::uint8_t, sizeof(in6_addr)> address{};
  if (inet_pton(is_v6 ? AF_INET6 : AF_INET, text.data(), address.data()) != 1) return std::nullopt;
  Key key{0, is_v6};
  // Of IPv4 there are four bytes, then zeros. Link-local addresses all have one prefix, and differ in the other half.
  const bool is_link_local = is_v6 && address[0] == 0xFE && (address[1] & 0xC0) == 0x80;
  std::memcpy(&key.prefix, address.data() + (is_link_local ? sizeof key.prefix : 0), sizeof key.prefix);
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
