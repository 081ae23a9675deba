// The Stream over WebSocket: what the broker reads is the payload of binary messages, what it writes in one call
// becomes one message. Its reactor's thread only.
//
//   phase       the socket is read by   goes to
//   kRequest    this, to the end of the upgrade request                              kOpening, kEnded
//   kOpening    this, byte by byte counted, and handed to libwebsockets by a pair    kOpen, kEnded
//               of local sockets: so it can still move to another reactor
//   kOpen       libwebsockets                                                        kEnded
//   kEnded      nobody: the broker is told the end and destroys it
//
// A connection stays in kOpening until settle(): libwebsockets cannot hand a connection over, but as long as every byte
// that it was given is known, another one on another reactor can be brought to the same point. In kOpen its descriptor
// IS the socket (dup3 puts it where the inner end of the pair was), and nothing is between the two any more. For wss a
// Stream of TLS would stand where the socket is, and the connection stay in kOpening.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <mqloop/socket.h>
#include <mqloop/transport.h>

#include "plugins/transport_websocket/frame_tracker.h"
#include "plugins/transport_websocket/lws_reactor.h"
#include "plugins/transport_websocket/upgrade.h"

namespace mqloop::websocket {

class WebSocketStream final : public Stream, private LwsOwner {
 public:
  // `reactors` outlives the stream.
  WebSocketStream(AcceptedSocket socket, Ref<const UpgradePolicy> policy, LwsReactors& reactors);
  ~WebSocketStream() override;
  WebSocketStream(const WebSocketStream&) = delete;
  WebSocketStream& operator=(const WebSocketStream&) = delete;

  Status attach(ReactorApi& reactor, StreamOwner& owner) noexcept override;
  bool detach() noexcept override;
  void settle() noexcept override;
  IoResult read(std::span<std::uint8_t> into) noexcept override;
  IoResult write(std::span<const iovec> parts) noexcept override;
  void watch_readable(bool on) noexcept override;
  void watch_writable(bool on) noexcept override;
  [[nodiscard]] bool has_unread() const noexcept override { return spill_ != nullptr || phase_ == Phase::kEnded; }
  void finish_writing() noexcept override;
  [[nodiscard]] std::string_view peer_address() const noexcept override { return peer_address_; }
  [[nodiscard]] std::string_view source_address() const noexcept override {
    return source_address_.empty() ? peer_address_ : source_address_;
  }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return loopback_; }
  [[nodiscard]] const PeerIdentity* peer_identity() const noexcept override { return identity_.get(); }

 private:
  enum class Phase : std::uint8_t { kRequest, kOpening, kOpen, kEnded };
  // What only a connection that opens needs.
  struct Opening;
  // Payload that came beyond what the reader had room for.
  struct Spill;

  void on_established() noexcept override { established_ = true; }
  CloseCode on_payload(std::span<const std::uint8_t> payload, bool is_binary) noexcept override;
  CloseCode on_close_frame(std::span<const std::uint8_t> payload) noexcept override;
  void on_leaving() noexcept override;
  void on_gone() noexcept override;

  void read_request() noexcept;
  void read_opening() noexcept;
  void read_open() noexcept;
  IoResult take_spilled(std::span<std::uint8_t> into) noexcept;
  void refuse(const Refusal& refusal) noexcept;
  [[nodiscard]] bool make_lws() noexcept;
  void take_frames(std::span<const std::uint8_t> bytes) noexcept;
  void give_lws(std::span<const std::uint8_t> bytes) noexcept;
  void close_by_lws(CloseCode code, std::string_view reason) noexcept;
  enum class Outgoing : bool { kSend, kDrop };
  void carry_out(Outgoing what) noexcept;
  void send_unsent() noexcept;
  void let_go_of_pair() noexcept;
  void end(IoResult result) noexcept;
  void log(std::string_view event, std::string_view reason) const noexcept;

  [[nodiscard]] bool is_blocked() const noexcept;
  void update_events() noexcept;
  void flush() noexcept;
  static void on_event(int fd, short what, void* self);

  std::string peer_address_;
  std::string source_address_;  // where it is another, for a proxy told of its client
  std::unique_ptr<const PeerIdentity> identity_;
  Ref<const UpgradePolicy> policy_;
  LwsReactors& reactors_;
  Ref<LwsReactor> lws_reactor_;
  lws* lws_ = nullptr;
  ReactorApi* reactor_ = nullptr;
  StreamOwner* owner_ = nullptr;  // null while detached
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<Spill> spill_;
  std::span<std::uint8_t> into_;  // inside read(): room that is left
  IoResult end_{IoOutcome::kEnd};
  ::event event_;
  int fd_;  // the socket; without an Opening it belongs to libwebsockets
  Phase phase_ = Phase::kRequest;
  std::uint8_t watched_ = 0;  // EV_READ, EV_WRITE: as the owner wants it
  std::uint8_t armed_ = 0;    // and as it is
  bool loopback_;
  bool established_ = false;
  bool wants_to_settle_ = false;
  bool is_finishing_ = false;  // our close frame has been sent, and the peer's is awaited
  // The last byte that was written is kept back from what write() answers: some of that frame waits in libwebsockets,
  // and the broker is to know that it is not done.
  bool holds_back_ = false;
};

}  // namespace mqloop::websocket
