// The Stream over WebSocket: what the broker reads is the payload of binary messages, what it writes in one call
// becomes one message. It stands on a socket (ws) or on any other Stream, such as one of TLS (wss). Its reactor's
// thread only.
//
//   phase      what comes from below is                 goes to
//   kRequest   the upgrade request                      kFrames, kEnded
//   kFrames    frames, taken apart by a FrameReader     kEnded
//   kEnded     of no interest: the broker is told the end and destroys it
//
// What goes out is a FrameSender's. Until settle() the connection can move to another reactor at any byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <mqloop/socket.h>
#include <mqloop/transport.h>

#include "plugins/transport_websocket/client_socket.h"
#include "plugins/transport_websocket/frame_reader.h"
#include "plugins/transport_websocket/frame_sender.h"
#include "plugins/transport_websocket/lws_reactor.h"
#include "plugins/transport_websocket/upgrade.h"

struct event;  // libevent's

namespace mqloop::websocket {

class WebSocketStream final : public Stream, private StreamOwner {
 public:
  // `reactors` outlives the stream.
  WebSocketStream(AcceptedSocket socket, Ref<const UpgradePolicy> policy, LwsReactors& reactors);
  WebSocketStream(std::unique_ptr<Stream> below, Ref<const UpgradePolicy> policy, LwsReactors& reactors);
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
  [[nodiscard]] bool has_unread() const noexcept override;
  void finish_writing() noexcept override;
  [[nodiscard]] std::string_view peer_address() const noexcept override;
  [[nodiscard]] std::string_view source_address() const noexcept override { return below_->source_address(); }
  [[nodiscard]] bool peer_is_loopback() const noexcept override {
    return !came_by_proxy_ && below_->peer_is_loopback();
  }
  [[nodiscard]] const PeerIdentity* peer_identity() const noexcept override { return below_->peer_identity(); }
  [[nodiscard]] std::string_view failure() const noexcept override;

 private:
  enum class Phase : std::uint8_t { kRequest, kFrames, kEnded };
  // What only a connection that may still move needs.
  struct Opening;
  // Control frames that have to be sent when there is room again.
  struct Waiting {
    std::optional<std::string> pong;
    CloseCode close = CloseCode::kNone;
    std::string reason;
  };

  WebSocketStream(std::unique_ptr<Stream> below, bool is_socket, Ref<const UpgradePolicy> policy,
                  LwsReactors& reactors);
  void on_readable() noexcept override { owner_->on_readable(); }
  void on_writable() noexcept override;

  void read_request() noexcept;
  [[nodiscard]] bool accept(UpgradeResult& result) noexcept;
  void refuse(const Refusal& refusal) noexcept;
  [[nodiscard]] std::size_t read_frames(std::span<std::uint8_t> into, bool& is_more) noexcept;
  [[nodiscard]] std::size_t take_frames(std::span<std::uint8_t> bytes) noexcept;
  void close(CloseCode code, std::string reason) noexcept;
  void send_waiting() noexcept;
  void finish_below() noexcept;
  void end(IoResult result) noexcept;
  void fail(std::string why) noexcept;

  void update_watching() noexcept;
  void wake() noexcept;
  void forget_to_wake() noexcept;

  // First what the sender stands on, then the sender.
  std::unique_ptr<Stream> below_;
  FrameSender sender_;
  FrameReader reader_;
  LwsReactors& reactors_;
  Ref<const UpgradePolicy> policy_;
  ReactorApi* reactor_ = nullptr;
  StreamOwner* owner_ = nullptr;  // null while detached
  std::unique_ptr<Opening> opening_;
  std::unique_ptr<Waiting> waiting_;
  std::unique_ptr<const std::string> told_address_;  // by a proxy, of its client
  std::unique_ptr<const std::string> failure_;
  ::event* wake_ = nullptr;  // for what no event of the stream below tells
  IoResult end_{IoOutcome::kEnd};
  Phase phase_ = Phase::kRequest;
  bool is_socket_;
  bool came_by_proxy_ = false;
  bool wants_to_read_ = false;
  bool wants_to_write_ = false;
  bool is_finishing_ = false;  // our close frame has been sent, or waits to be; the peer's is awaited
  bool finishes_below_ = false;
  bool is_settled_ = false;
  // The last byte that was written is kept back from what write() answers: some of that frame waits in the sender, and
  // the broker is to know that it is not done.
  bool holds_back_ = false;
};

}  // namespace mqloop::websocket
