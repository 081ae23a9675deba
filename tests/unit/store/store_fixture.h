// What tests of the store share: a folder of their own, rows in one line, and a Recovery that writes down what it is
// told, one line for each call.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/store/reader.h"
#include "core/store/store.h"

namespace mqloop::store_test {

// A path in a folder that is gone after the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "mqloop-store-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::span<const std::uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline WallTime wall(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

class Transcript final : public Recovery {
 public:
  // The wall clock's and the broker's time of now.
  explicit Transcript(WallTime now) : now_(now) {}

  void numbers(const RecoveredNumbers& numbers) override {
    add("numbers " + std::to_string(numbers.session) + ' ' + std::to_string(numbers.message) + ' ' +
        std::to_string(numbers.delivery) + ' ' + std::to_string(numbers.retained));
  }
  void session(const SessionState& state, std::chrono::seconds remaining) override {
    std::string line = "session " + std::to_string(state.number) + ' ' + std::string(state.client_id);
    line += state.has_user_name ? " user=" + std::string(state.user_name) : " anonymous";
    line += " expiry=" + std::to_string(state.expiry_interval) + " left=" + std::to_string(remaining.count());
    line += state.connected ? " connected" : " gone";
    if (state.principal != nullptr) line += " principal=" + text_of(*state.principal);
    if (state.will != nullptr) {
      const WillState& will = *state.will;
      line += " will=[" + text_of(*will.message) + " delay=" + std::to_string(will.delay_interval);
      if (will.message_expiry_interval) line += " expiry=" + std::to_string(*will.message_expiry_interval);
      line += ']';
    }
    add(line);
  }
  void subscription(const SubscribeOp& op) override {
    add("subscription " + std::to_string(op.session) + ' ' + std::string(op.client_id) + ' ' + std::string(op.filter) +
        " qos=" + std::to_string(static_cast<int>(op.qos)) + " options=" + std::to_string(op.options) +
        " identifier=" + std::to_string(op.identifier));
  }
  void delivery(const Recipient& one, DeliveryState state) override {
    std::string line = "delivery " + std::to_string(one.session) + ' ' + std::to_string(one.delivery);
    line += state == DeliveryState::kQueued ? " queued" : state == DeliveryState::kSent ? " sent" : " received";
    line += " id=" + std::to_string(one.packet_id) + " qos=" + std::to_string(static_cast<int>(one.qos));
    if (one.retain) line += " retain";
    if (one.identifier != 0) line += " identifier=" + std::to_string(one.identifier);
    for (const std::uint32_t identifier : one.identifiers) line += " identifiers=" + std::to_string(identifier);
    if (!one.group.empty()) line += " group=" + std::string(one.group);
    if (one.message != nullptr) {
      line += " [" + text_of(*one.message) + ']';
      seen_[one.message->number()].push_back(Ref<const Message>::share(one.message));
    }
    add(line);
  }
  void received(std::uint16_t packet_id) override { add("received " + std::to_string(packet_id)); }
  void group_message(std::string_view group, Ref<const Message> message) override {
    add("group " + std::string(group) + " [" + text_of(*message) + ']');
    seen_[message->number()].push_back(std::move(message));
  }
  void retained(Ref<const Message> message) override {
    std::string line = "retained [" + text_of(*message) + ']';
    if (message->principal()) line += " by " + text_of(*message->principal());
    add(line);
    if (message->number() != 0) seen_[message->number()].push_back(std::move(message));
  }
  [[nodiscard]] MonotonicTime time_of(WallTime at) const noexcept override {
    return MonotonicTime(std::chrono::milliseconds(1'000'000'000)) + (at - now_);
  }

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::size_t lines() const { return lines_; }
  // All that were given with this number are one Message.
  [[nodiscard]] bool is_one(std::uint64_t number, std::size_t times) const {
    const auto at = seen_.find(number);
    if (at == seen_.end() || at->second.size() != times) return false;
    for (const auto& message : at->second) {
      if (message != at->second.front()) return false;
    }
    return true;
  }

 private:
  void add(const std::string& line) {
    text_ += line + '\n';
    ++lines_;
  }
  static std::string text_of(const Principal& who) {
    return std::string(who.client_id()) + '/' + (who.has_user_name() ? std::string(who.user_name()) : "-") + '/' +
           std::string(who.chain()) + '/' + std::string(who.listener()) + '/' + std::string(who.peer_address()) + '/' +
           std::to_string(static_cast<int>(who.version()));
  }
  [[nodiscard]] std::string text_of(const Message& message) const {
    std::string text = std::to_string(message.number()) + ' ' + std::string(message.topic()) + '=';
    for (const std::uint8_t byte : message.payload()) text += static_cast<char>(byte);
    text += " qos=" + std::to_string(static_cast<int>(message.qos()));
    if (message.retain()) text += " retain";
    if (!message.properties().empty()) text += " properties=" + std::to_string(message.properties().size());
    if (message.expires_at() != Message::kNever) {
      text += " left=" + std::to_string((message.expires_at() - time_of(now_)).count());
    }
    return text;
  }

  WallTime now_;
  std::string text_;
  std::size_t lines_ = 0;
  std::map<std::uint64_t, std::vector<Ref<const Message>>> seen_;
};

}  // namespace mqloop::store_test
