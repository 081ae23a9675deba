#include "core/broker/outbound.h"

#include <utility>

namespace mqloop::broker {

Outbound::~Outbound() {
  for (std::size_t i = 0; i != window_.size(); ++i) drop_message(window_[i]);
  counters_.messages_waiting.subtract(window_.size() + queue_.size());
  counters_.bytes_waiting.subtract(queued_bytes_);
}

OutboundEntry& Outbound::enqueue(OutboundEntry entry) {
  queued_bytes_ += entry.message->footprint();
  counters_.bytes_waiting.add(entry.message->footprint());
  if (entry.qos == QoS::kAtMostOnce) ++queued_qos0_;
  counters_.messages_waiting.add();
  return queue_.push_back(std::move(entry));
}

void Outbound::drop_next() noexcept {
  queued_bytes_ -= queue_.front().message->footprint();
  counters_.bytes_waiting.subtract(queue_.front().message->footprint());
  if (queue_.front().qos == QoS::kAtMostOnce) --queued_qos0_;
  counters_.messages_waiting.subtract();
  queue_.pop_front();
}

OutboundEntry* Outbound::release(std::uint64_t delivery, std::uint16_t packet_id) noexcept {
  const auto release = [delivery](OutboundEntry& entry) {
    const bool is_it = entry.held && entry.delivery == delivery;
    if (is_it) entry.held = false;
    return is_it;
  };
  if (packet_id != 0) {
    OutboundEntry* found = find(packet_id);
    return found != nullptr && release(*found) ? found : nullptr;
  }
  // It is near the end: nothing that came much later can be there yet.
  for (std::size_t i = queue_.size(); i != 0; --i) {
    if (release(queue_[i - 1])) return &queue_[i - 1];
  }
  return nullptr;
}

std::vector<OutboundEntry> Outbound::take_queued(std::uint32_t share) {
  std::vector<OutboundEntry> taken;
  for (std::size_t left = queue_.size(); left != 0; --left) {
    OutboundEntry entry = std::move(queue_.front());
    if (share == 0 ? entry.share == 0 : entry.share != share) {
      queue_.pop_front();
      queue_.push_back(std::move(entry));
      continue;
    }
    taken.push_back(entry);
    queue_.front() = std::move(entry);
    drop_next();
  }
  return taken;
}

OutboundEntry* Outbound::take_next() {
  const std::uint16_t id = ids_.allocate();
  if (id == 0) return nullptr;
  OutboundEntry entry = std::move(queue_.front());
  queued_bytes_ -= entry.message->footprint();
  queue_.pop_front();
  entry.packet_id = id;
  entry.state = mqtt::first_sender_state(entry.qos);
  ++to_send_;
  return &window_.push_back(std::move(entry));
}

OutboundEntry* Outbound::take(OutboundEntry& entry) {
  const std::uint16_t id = ids_.allocate();
  if (id == 0) return nullptr;
  entry.packet_id = id;
  entry.state = mqtt::first_sender_state(entry.qos);
  counters_.messages_waiting.add();
  counters_.bytes_waiting.add(entry.message->footprint());
  ++to_send_;
  return &window_.push_back(std::move(entry));
}

bool Outbound::restore(OutboundEntry entry) {
  if (entry.packet_id == 0) {
    enqueue(std::move(entry));
    return true;
  }
  if (!ids_.reserve(entry.packet_id)) return false;
  counters_.messages_waiting.add();
  if (entry.message) counters_.bytes_waiting.add(entry.message->footprint());
  ++to_send_;
  window_.push_back(std::move(entry));
  return true;
}

OutboundEntry* Outbound::find(std::uint16_t packet_id) noexcept {
  if (window_.empty()) return nullptr;
  // Identifiers rotate, so that the distance from the oldest is the place, as long as none between has ended.
  const auto guess = static_cast<std::uint16_t>(packet_id - window_[0].packet_id);
  if (guess < window_.size() && window_[guess].packet_id == packet_id) return &window_[guess];
  for (std::size_t i = 0; i != window_.size(); ++i) {
    if (window_[i].packet_id == packet_id) return &window_[i];
  }
  return nullptr;
}

void Outbound::finish(OutboundEntry* entry) noexcept {
  ids_.release(entry->packet_id);
  counters_.messages_waiting.subtract();
  drop_message(*entry);
  for (std::size_t i = 0; i != window_.size(); ++i) {
    if (&window_[i] == entry) {
      // An acknowledgement may come before its PUBLISH was sent again.
      if (i >= window_.size() - to_send_) --to_send_;
      window_.erase(i);
      return;
    }
  }
}

void Outbound::check_all(std::uint8_t access) noexcept {
  for (std::size_t i = 0; i != window_.size(); ++i) window_[i].access |= access;
  for (std::size_t i = 0; i != queue_.size(); ++i) queue_[i].access |= access;
}

void Outbound::drop_message(OutboundEntry& entry) noexcept {
  if (!entry.message) return;
  counters_.bytes_waiting.subtract(entry.message->footprint());
  entry.message = nullptr;
}

void Outbound::resend_all() noexcept {
  to_send_ = static_cast<std::uint32_t>(window_.size());
  for (std::size_t i = 0; i != window_.size(); ++i) window_[i].counted = false;
}

}  // namespace mqloop::broker
