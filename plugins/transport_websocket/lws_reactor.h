// libwebsockets on one reactor: one lws_context, which is never run but told of one descriptor at a time. Made when the
// first connection of the reactor opens, and gone with the last that holds it; the reactor's thread only.
//
// libwebsockets 4.1 sees descriptors by number and keeps no state of theirs in the system, it waits for nothing here
// (what it does, it does in the call that told it of an event), and it learns of no timeout: the broker has its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <mqloop/reactor_api.h>
#include <mqloop/ref.h>

#include "plugins/transport_websocket/frame_tracker.h"

struct lws;          // libwebsockets' connection
struct lws_context;  // libwebsockets' world
struct lws_vhost;

namespace mqloop::websocket {

// Told by libwebsockets of one connection, inside of calls of LwsReactor.
class LwsOwner {
 public:
  virtual void on_established() noexcept = 0;
  // Payload of a binary message. The code of a violation makes libwebsockets close; likewise below.
  virtual CloseCode on_payload(std::span<const std::uint8_t> payload, bool is_binary) noexcept = 0;
  // The peer's close frame.
  virtual CloseCode on_close_frame(std::span<const std::uint8_t> payload) noexcept = 0;
  // It has begun to close; a close frame may be on its way.
  virtual void on_leaving() noexcept = 0;
  // It is closing its descriptor now, and the `lws` is gone when the call returns.
  virtual void on_gone() noexcept = 0;

 protected:
  ~LwsOwner() = default;
};

class LwsReactor final : public SharedObject {
 public:
  // The most that libwebsockets reads in one call, and half of what a connection costs.
  static constexpr std::size_t kReadSize = 2048;
  // A frame is not larger than this.
  static constexpr std::size_t kLargestFrame = 131072;

  // Null when memory or descriptors have run out.
  [[nodiscard]] static Ref<LwsReactor> create();

  // Takes over `fd`, whatever comes of it; null when that fails.
  [[nodiscard]] lws* adopt(int fd, LwsOwner& owner) noexcept;
  [[nodiscard]] static int descriptor(lws* connection) noexcept;
  // There is something to read, or it can be written; what libwebsockets has to say of it the owner is told now.
  void readable(lws* connection) noexcept;
  void writable(lws* connection) noexcept;
  // Part of what was written waits for writable().
  [[nodiscard]] static bool is_blocked(lws* connection) noexcept;

  // Where a frame's payload is put together.
  [[nodiscard]] std::span<std::uint8_t> frame() noexcept;
  // Sends the first `size` bytes of it as a binary message. False: the connection is broken.
  [[nodiscard]] bool send_frame(lws* connection, std::size_t size) noexcept;

  // Sends a close frame; the peer is to answer it.
  void close(lws* connection, CloseCode code, std::string_view reason) noexcept;
  // Gone at once.
  void kill(lws* connection) noexcept;

 private:
  LwsReactor() = default;
  ~LwsReactor() override;
  void service(lws* connection, short events) noexcept;

  lws_context* context_ = nullptr;
  lws_vhost* host_ = nullptr;
  std::unique_ptr<std::uint8_t[]> frame_;
};

// The LwsReactor of each reactor that has connections. Any thread.
class LwsReactors {
 public:
  [[nodiscard]] Ref<LwsReactor> of(const ReactorApi& reactor);
  // The reactor ends, or needs it no more.
  void forget(const ReactorApi& reactor) noexcept;

 private:
  std::mutex mutex_;
  std::vector<std::pair<const ReactorApi*, Ref<LwsReactor>>> all_;
};

}  // namespace mqloop::websocket
