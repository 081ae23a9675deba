#include "core/store/mosquitto_file.h"

#include <algorithm>
#include <string>

namespace mqloop::store {
namespace {

constexpr std::string_view kMagic("\x00\xB5\x00mosquitto db", kMosquittoMagicSize);
constexpr std::uint32_t kOldest = 5;
constexpr std::uint32_t kNewest = 6;

enum class Chunk : std::uint32_t {
  kConfiguration = 1,
  kMessage = 2,
  kClientMessage = 3,
  kRetained = 4,
  kSubscription = 5,
  kClient = 6,
};

// Lengths and packet identifiers are written with the big end first, names of messages and times as the machine has
// them.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}

  std::uint64_t big(std::size_t size) noexcept {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(size)) value = value << 8 | byte;
    return value;
  }
  std::uint64_t little(std::size_t size) noexcept {
    std::uint64_t value = 0;
    const std::span<const std::uint8_t> taken = take(size);
    for (std::size_t i = taken.size(); i-- > 0;) value = value << 8 | taken[i];
    return value;
  }
  std::uint8_t byte() noexcept { return static_cast<std::uint8_t>(big(1)); }
  std::string_view text(std::size_t size) noexcept {
    const std::span<const std::uint8_t> taken = take(size);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  // Empty when fewer are left, and then nothing is any good.
  std::span<const std::uint8_t> take(std::size_t size) noexcept {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::span<const std::uint8_t> taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  // A Variable Byte Integer (1.5.5).
  std::uint32_t variable() noexcept {
    std::uint32_t value = 0;
    for (int shift = 0; shift < 28; shift += 7) {
      const std::uint8_t next = byte();
      value |= static_cast<std::uint32_t>(next & 0x7F) << shift;
      if ((next & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  [[nodiscard]] std::span<const std::uint8_t> rest() const noexcept { return rest_; }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  std::span<const std::uint8_t> rest_;
  bool ok_ = true;
};

struct Properties {
  std::vector<std::uint8_t> forwarded;
  std::vector<std::uint32_t> identifiers;
};

// What stands at the end of a chunk: a length and properties of PUBLISH, or nothing at all.
bool read_properties(Bytes& chunk, Properties& out) {
  out.forwarded.clear();
  out.identifiers.clear();
  if (chunk.rest().empty()) return true;
  Bytes bytes(chunk.take(chunk.variable()));
  if (!chunk.ok()) return false;
  while (bytes.ok() && !bytes.rest().empty()) {
    const std::span<const std::uint8_t> whole = bytes.rest();
    bool forwarded = true;
    switch (bytes.byte()) {
      case 0x01:  // Payload Format Indicator
        bytes.take(1);
        break;
      case 0x02:  // Message Expiry Interval: stands with the message
        bytes.take(4);
        forwarded = false;
        break;
      case 0x03:  // Content Type
      case 0x08:  // Response Topic
      case 0x09:  // Correlation Data
        bytes.take(bytes.big(2));
        break;
      case 0x0B:  // Subscription Identifier
        out.identifiers.push_back(bytes.variable());
        forwarded = false;
        break;
      case 0x23:  // Topic Alias
        bytes.take(2);
        forwarded = false;
        break;
      case 0x26:  // User Property
        bytes.take(bytes.big(2));
        bytes.take(bytes.big(2));
        break;
      default:
        return false;
    }
    const auto size = static_cast<std::ptrdiff_t>(whole.size() - bytes.rest().size());
    if (bytes.ok() && forwarded) out.forwarded.insert(out.forwarded.end(), whole.begin(), whole.begin() + size);
  }
  return bytes.ok();
}

// mosquitto's own numbers of what it waits for.
MosquittoState state_of(std::uint8_t state, std::uint8_t qos, bool outgoing) noexcept {
  if (qos == 0) return MosquittoState::kOther;
  constexpr std::uint8_t kResendPubrel = 6;
  constexpr std::uint8_t kWaitForPubcomp = 9;
  constexpr std::uint8_t kQueued = 11;
  if (!outgoing) return qos == 2 ? MosquittoState::kInbound : MosquittoState::kOther;
  if (state == kQueued) return MosquittoState::kQueued;
  if (state == kResendPubrel || state == kWaitForPubcomp) return MosquittoState::kReceived;
  return MosquittoState::kSent;
}

class File {
 public:
  File(std::istream& file, MosquittoVisitor& visitor) : file_(file), visitor_(visitor) {}

  Status read() {
    std::uint8_t head[kMosquittoMagicSize + 8];
    if (!get(head) || !begins_like_mosquitto({reinterpret_cast<const char*>(head), sizeof head})) {
      return invalid_argument("not a file of mosquitto");
    }
    version_ = static_cast<std::uint32_t>(Bytes(std::span(head).last(4)).big(4));
    if (version_ < kOldest || version_ > kNewest) {
      return invalid_argument("version " + std::to_string(version_) + " of mosquitto's format is not known, only " +
                              std::to_string(kOldest) + " and " + std::to_string(kNewest));
    }
    while (true) {
      const std::uint64_t place = place_;
      std::uint8_t header[8];
      if (!get(header)) return place_ == place ? ok() : fault(place, "ends in the middle of a chunk");
      Bytes bytes(header);
      const auto kind = static_cast<Chunk>(bytes.big(4));
      if (!get_chunk(bytes.big(4))) return fault(place, "ends in the middle of a chunk");
      bool go_on = true;
      if (!give(kind, go_on)) return fault(place, "a chunk that is not what it should be");
      if (!go_on) return ok();
    }
  }

 private:
  static Status fault(std::uint64_t place, std::string_view what) {
    return invalid_argument("byte " + std::to_string(place) + ": " + std::string(what));
  }

  bool get(std::span<std::uint8_t> out) {
    file_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
    place_ += static_cast<std::uint64_t>(file_.gcount());
    return static_cast<std::size_t>(file_.gcount()) == out.size();
  }

  // A length that the file does not have must not cost its memory.
  bool get_chunk(std::uint64_t size) {
    constexpr std::size_t kFirst = 4096;
    chunk_.clear();
    while (chunk_.size() < size) {
      const std::size_t before = chunk_.size();
      chunk_.resize(before + std::min<std::uint64_t>(std::max(kFirst, before), size - before));
      if (!get(std::span(chunk_).subspan(before))) return false;
    }
    return true;
  }

  bool give(Chunk kind, bool& go_on) {
    Bytes bytes(chunk_);
    switch (kind) {
      case Chunk::kConfiguration:
        bytes.take(9);  // the last name of a message, and whether it was shut down in order
        return bytes.byte() == 8 && bytes.ok();
      case Chunk::kMessage:
        return give_message(bytes, go_on);
      case Chunk::kClientMessage:
        return give_client_message(bytes, go_on);
      case Chunk::kRetained: {
        const std::uint64_t message = bytes.little(8);
        if (bytes.ok()) go_on = visitor_.retained(message);
        return bytes.ok();
      }
      case Chunk::kSubscription:
        return give_subscription(bytes, go_on);
      case Chunk::kClient:
        return give_client(bytes, go_on);
    }
    return true;  // of a later mosquitto: it skips them as well
  }

  bool give_message(Bytes& bytes, bool& go_on) {
    MosquittoMessage message;
    message.id = bytes.little(8);
    message.expires_at = static_cast<std::int64_t>(bytes.little(8));
    const std::uint64_t payload = bytes.big(4);
    bytes.take(2);  // the packet identifier under which it came
    const std::uint64_t source = bytes.big(2);
    const std::uint64_t user_name = bytes.big(2);
    const std::uint64_t topic = bytes.big(2);
    bytes.take(2);  // the port to which it came
    message.qos = bytes.byte();
    message.retain = bytes.byte() != 0;
    bytes.take(source);
    bytes.take(user_name);
    message.topic = bytes.text(topic);
    message.payload = bytes.take(payload);
    if (!bytes.ok() || !read_properties(bytes, properties_)) return false;
    message.properties = properties_.forwarded;
    go_on = visitor_.message(message);
    return true;
  }

  bool give_client(Bytes& bytes, bool& go_on) {
    MosquittoClient client;
    client.expires_at = static_cast<std::int64_t>(bytes.little(8));
    client.expiry_interval = static_cast<std::uint32_t>(bytes.big(4));
    bytes.take(2);  // its last packet identifier
    const std::uint64_t client_id = bytes.big(2);
    std::uint64_t user_name = 0;
    if (version_ >= 6) {
      bytes.take(2);  // its listener's port
      user_name = bytes.big(2);
      bytes.take(4);  // of the structure that mosquitto writes as it is
    }
    client.client_id = bytes.text(client_id);
    client.user_name = bytes.text(user_name);
    // mosquitto 2.0.11 writes, for a client without a name, that of one before it, and its length with the bytes
    // swapped: a name, and after it whatever stood in memory. (Of two in a row the second has the first's name whole.)
    if (client.user_name.find('\0') != std::string_view::npos) client.user_name = {};
    if (bytes.ok()) go_on = visitor_.client(client);
    return bytes.ok();
  }

  bool give_client_message(Bytes& bytes, bool& go_on) {
    MosquittoClientMessage message;
    message.message = bytes.little(8);
    message.packet_id = static_cast<std::uint16_t>(bytes.big(2));
    const std::uint64_t client_id = bytes.big(2);
    message.qos = bytes.byte();
    const std::uint8_t state = bytes.byte();
    message.retain = (bytes.byte() & 0xF0) != 0;
    const bool outgoing = bytes.byte() != 0;
    message.client_id = bytes.text(client_id);
    if (!bytes.ok() || !read_properties(bytes, properties_)) return false;
    message.state = state_of(state, message.qos, outgoing);
    message.identifiers = properties_.identifiers;
    go_on = visitor_.client_message(message);
    return true;
  }

  bool give_subscription(Bytes& bytes, bool& go_on) {
    MosquittoSubscription subscription;
    subscription.identifier = static_cast<std::uint32_t>(bytes.big(4));
    const std::uint64_t client_id = bytes.big(2);
    const std::uint64_t filter = bytes.big(2);
    subscription.qos = bytes.byte();
    subscription.options = static_cast<std::uint8_t>((bytes.byte() & 0x3C) | (subscription.qos & 0x03));
    bytes.take(2);  // of the structure
    subscription.client_id = bytes.text(client_id);
    subscription.filter = bytes.text(filter);
    if (bytes.ok()) go_on = visitor_.subscription(subscription);
    return bytes.ok();
  }

  std::istream& file_;
  MosquittoVisitor& visitor_;
  std::uint32_t version_ = 0;
  std::uint64_t place_ = 0;
  std::vector<std::uint8_t> chunk_;
  Properties properties_;
};

}  // namespace

bool begins_like_mosquitto(std::string_view text) noexcept { return text.starts_with(kMagic); }

Status read_mosquitto(std::istream& file, MosquittoVisitor& visitor) { return File(file, visitor).read(); }

}  // namespace mqloop::store
