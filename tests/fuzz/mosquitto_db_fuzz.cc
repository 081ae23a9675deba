// Any bytes as a mosquitto.db: it is read to its end or refused with the place of the fault, and what the visitor is
// given lies within the file. A file that is read gives the same again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "core/store/mosquitto_file.h"
#include "core/store/well_formed.h"

namespace {

using namespace mqloop::store;

void require(bool truth) {
  if (!truth) std::abort();
}

// Reads every byte that it is given, and adds it up.
class Reader final : public MosquittoVisitor {
 public:
  bool message(const MosquittoMessage& message) override {
    add(message.topic);
    for (const auto part : {message.payload, message.properties}) {
      for (const std::uint8_t byte : part) sum_ = sum_ * 31 + byte;
    }
    (void)is_topic_name(message.topic);
    (void)are_forwarded_properties(message.properties);
    return count();
  }
  bool client(const MosquittoClient& client) override {
    require(client.user_name.find('\0') == std::string_view::npos);
    add(client.client_id);
    add(client.user_name);
    return count();
  }
  bool client_message(const MosquittoClientMessage& message) override {
    add(message.client_id);
    for (const std::uint32_t identifier : message.identifiers) require(identifier <= kHighestIdentifier);
    require(message.qos != 0 || message.state == MosquittoState::kOther);
    return count();
  }
  bool subscription(const MosquittoSubscription& subscription) override {
    add(subscription.client_id);
    add(subscription.filter);
    (void)is_subscription_filter(subscription.filter);
    require((subscription.options & ~0x3F) == 0);
    return count();
  }
  bool retained(std::uint64_t message) override {
    sum_ = sum_ * 31 + message;
    return count();
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }
  [[nodiscard]] std::size_t entries() const { return entries_; }

 private:
  void add(std::string_view text) {
    for (const char character : text) sum_ = sum_ * 31 + static_cast<unsigned char>(character);
  }
  bool count() {
    ++entries_;
    return true;
  }

  std::uint64_t sum_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::istringstream file(text);
  Reader first;
  const mqloop::Status status = read_mosquitto(file, first);
  require(status.ok() == status.message().empty());
  // A chunk has a head of eight bytes at least.
  require(first.entries() * 8 <= size);
  std::istringstream again(text);
  Reader second;
  require(read_mosquitto(again, second).ok() == status.ok());
  require(first.sum() == second.sum() && first.entries() == second.entries());
  return 0;
}
