// libwebsockets on one reactor: lws_contexts, which are never run but called when there is something to send. Made when
// the first connection of the reactor opens, and gone with the last that holds it; the reactor's thread only.
//
// libwebsockets 4.1 sees descriptors by number and keeps no state of theirs in the system, it waits for nothing here
// (what it does, it does in the call), and it learns of no timeout: the broker has its own. It is never told that
// something can be read. One context is for few connections: else it holds a table of every descriptor that the process
// may have, and Debian's looks through all of it whenever a connection begins or ends.
#pragma once

#include <array>
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

#include "plugins/transport_websocket/frame_reader.h"

struct lws;  // libwebsockets' connection

namespace mqloop::websocket {

// Told by libwebsockets of one connection, inside of calls of LwsReactor.
class LwsOwner {
 public:
  // It is closing its descriptor now, and the `lws` is gone when the call returns.
  virtual void on_gone() noexcept = 0;

 protected:
  ~LwsOwner() = default;
};

class LwsReactor final : public SharedObject {
 public:
  // A frame is not larger than this.
  static constexpr std::size_t kLargestFrame = 131072;

  // Null when memory or descriptors have run out.
  [[nodiscard]] static Ref<LwsReactor> create();

  // Takes over `fd`, whatever comes of it, and answers `request` on it; null when that fails.
  [[nodiscard]] lws* adopt(int fd, std::string_view request, LwsOwner& owner) noexcept;
  // The same where the client has its answer already: nobody gets this one, and the connection has a descriptor of no
  // meaning, over which another may be put (dup3).
  [[nodiscard]] lws* adopt_answered(std::string_view request, LwsOwner& owner) noexcept;
  [[nodiscard]] static int descriptor(lws* connection) noexcept;
  // It can be written; what libwebsockets has to say of it the owner is told now.
  void writable(lws* connection) noexcept;
  // Part of what was sent waits for writable(); nothing more may be sent until it has gone.
  [[nodiscard]] static bool is_blocked(lws* connection) noexcept;

  // Where a frame's payload is put together.
  [[nodiscard]] std::span<std::uint8_t> frame() noexcept;
  // Sends the first `size` bytes of it as a binary message. False: the connection is broken.
  [[nodiscard]] bool send_frame(lws* connection, std::size_t size) noexcept;
  // `payload` has at most 125 bytes.
  [[nodiscard]] bool send_pong(lws* connection, std::string_view payload) noexcept;
  // Sends a close frame with the next writable(); then nothing more may be sent.
  void send_close(lws* connection, CloseCode code, std::string_view reason) noexcept;

  // Closes the descriptor at once, and tells the peer nothing.
  void kill(lws* connection) noexcept;

 private:
  struct Context;
  LwsReactor();
  ~LwsReactor() override;
  [[nodiscard]] Context* context_with_room() noexcept;
  static int on_event(lws* connection, int reason) noexcept;
  static void service(lws* connection, short events) noexcept;
  void let_go_of(Context* context) noexcept;

  std::vector<std::unique_ptr<Context>> contexts_;
  Context* usual_ = nullptr;  // had room last time
  std::size_t empty_ = 0;     // contexts without a connection
  bool established_ = false;
  std::array<int, 2> nowhere_{-1, -1};  // a pair of sockets: where answers go that nobody gets
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
