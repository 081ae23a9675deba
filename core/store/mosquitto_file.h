// The persistence file of mosquitto, mosquitto.db, versions 5 and 6 of its format (mosquitto 1.6 to 2.0, on machines
// whose little end comes first), read chunk by chunk. The file is not trusted: every length is held against what is
// left of its chunk, and what the visitor is given is as the file says it, well-formed or not.
#pragma once

#include <cstdint>
#include <istream>
#include <span>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

namespace mqloop::store {

struct MosquittoMessage {
  std::uint64_t id = 0;  // by which the others name it
  std::string_view topic;
  std::span<const std::uint8_t> payload;
  std::span<const std::uint8_t> properties;  // what a server forwards, as Message::Content holds it
  std::uint8_t qos = 0;
  bool retain = false;
  std::int64_t expires_at = 0;  // seconds since 1970; 0: never
};

struct MosquittoClient {
  std::string_view client_id;
  std::string_view user_name;         // empty: none
  std::uint32_t expiry_interval = 0;  // seconds; 0xFFFFFFFF: never
  std::int64_t expires_at = 0;        // seconds since 1970; 0: its client was connected, or never
};

enum class MosquittoState : std::uint8_t {
  kQueued,    // to the client, not sent yet
  kSent,      // to the client, not acknowledged
  kReceived,  // to the client, which has sent PUBREC
  kInbound,   // QoS 2 from the client, not released: mosquitto routes it when PUBREL comes
  kOther,     // QoS 0, or nothing that has to be kept
};

struct MosquittoClientMessage {
  std::string_view client_id;
  std::uint64_t message = 0;
  std::uint16_t packet_id = 0;
  std::uint8_t qos = 0;
  bool retain = false;
  MosquittoState state = MosquittoState::kOther;
  std::span<const std::uint32_t> identifiers;  // Subscription Identifiers
};

struct MosquittoSubscription {
  std::string_view client_id;
  std::string_view filter;
  std::uint8_t qos = 0;
  std::uint8_t options = 0;  // as in SUBSCRIBE (3.8.3.1), with the QoS
  std::uint32_t identifier = 0;
};

// Everything is borrowed for the call. False ends the reading.
class MosquittoVisitor {
 public:
  virtual bool message(const MosquittoMessage& message) = 0;
  virtual bool client(const MosquittoClient& client) = 0;
  virtual bool client_message(const MosquittoClientMessage& message) = 0;
  virtual bool subscription(const MosquittoSubscription& subscription) = 0;
  virtual bool retained(std::uint64_t message) = 0;

 protected:
  ~MosquittoVisitor() = default;
};

// How such a file begins; enough bytes to tell it from others.
[[nodiscard]] bool begins_like_mosquitto(std::string_view text) noexcept;
inline constexpr std::size_t kMosquittoMagicSize = 15;

// A fault of the file: where it is and what it is. Nothing more is read then. ok() also when the visitor ended it.
Status read_mosquitto(std::istream& file, MosquittoVisitor& visitor);

}  // namespace mqloop::store
