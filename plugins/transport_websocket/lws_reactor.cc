#include "plugins/transport_websocket/lws_reactor.h"

#include <fcntl.h>
#include <libwebsockets.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace mqloop::websocket {

namespace {

constexpr std::size_t kServiceBuffer = 4096;
// libwebsockets sets this much aside for each connection, for what it reads; it reads nothing.
constexpr std::size_t kReadSize = 128;
// An answer to an upgrade is shorter.
constexpr std::size_t kLongestAnswer = 4096;

int on_event(lws* connection, lws_callback_reasons reason, void* /*user*/, void* /*in*/, std::size_t /*size*/) {
  auto* owner = connection == nullptr ? nullptr : static_cast<LwsOwner*>(lws_get_opaque_user_data(connection));
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      LwsReactor::of(connection).established();
      return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
      lws_set_opaque_user_data(connection, nullptr);
      if (owner != nullptr) owner->on_gone();
      return 0;
    case LWS_CALLBACK_HTTP:
      return -1;  // only upgrades come here
    default:
      return 0;
  }
}

lws_protocols protocol(const char* name) {
  lws_protocols entry{};
  entry.name = name;
  entry.callback = on_event;
  entry.rx_buffer_size = kReadSize;
  entry.tx_packet_size = LwsReactor::kLargestFrame + 16;  // all of a frame goes by one call
  return entry;
}

// The first one gets what belongs to no subprotocol.
const std::array<lws_protocols, 4> kProtocols{protocol("http"), protocol("mqtt"), protocol("mqttv3.1"), {}};
// No pings and no timeouts: MQTT has its own, and nothing would run them.
const lws_retry_bo_t kNoKeepAlive{};

}  // namespace

Ref<LwsReactor> LwsReactor::create() {
  // Its log has no sender: what it says of a connection the broker knows too.
  static const bool is_silent = (lws_set_log_level(0, nullptr), true);
  (void)is_silent;
  lws_context_creation_info info{};
  info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
  info.protocols = kProtocols.data();
  info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6;
  info.gid = static_cast<gid_t>(-1);
  info.uid = static_cast<uid_t>(-1);
  info.count_threads = 1;
  info.pt_serv_buf_size = kServiceBuffer;
  info.max_http_header_data = 1024;  // of a plain_request()
  info.retry_and_idle_policy = &kNoKeepAlive;
  info.vhost_name = "mqloop";
  Ref<LwsReactor> made = Ref<LwsReactor>::adopt(new LwsReactor);
  made->frame_ = std::make_unique_for_overwrite<std::uint8_t[]>(LWS_PRE + kLargestFrame);
  info.user = made.get();
  made->context_ = lws_create_context(&info);
  if (made->context_ == nullptr) return nullptr;
  made->host_ = lws_create_vhost(made->context_, &info);
  if (made->host_ == nullptr) return nullptr;
  return made;
}

LwsReactor& LwsReactor::of(lws* connection) noexcept {
  return *static_cast<LwsReactor*>(lws_context_user(lws_get_context(connection)));
}

LwsReactor::~LwsReactor() {
  if (context_ != nullptr) lws_context_destroy(context_);
  for (const int fd : nowhere_) {
    if (fd >= 0) ::close(fd);
  }
}

lws* LwsReactor::adopt(int fd, std::string_view request, LwsOwner& owner) noexcept {
  established_ = false;
  lws* connection = lws_adopt_socket_vhost_readbuf(host_, fd, request.data(), request.size());
  if (connection == nullptr) return nullptr;
  if (!established_) {
    kill(connection);
    return nullptr;
  }
  lws_set_opaque_user_data(connection, &owner);
  return connection;
}

lws* LwsReactor::adopt_answered(std::string_view request, LwsOwner& owner) noexcept {
  if (nowhere_[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, nowhere_.data()) != 0) {
    return nullptr;
  }
  const int fd = fcntl(nowhere_[1], F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return nullptr;
  lws* connection = adopt(fd, request, owner);
  std::array<char, kLongestAnswer> answer;
  recv(nowhere_[0], answer.data(), answer.size(), 0);
  return connection;
}

int LwsReactor::descriptor(lws* connection) noexcept { return lws_get_socket_fd(connection); }

void LwsReactor::service(lws* connection, short events) noexcept {
  lws_pollfd event{lws_get_socket_fd(connection), POLLIN | POLLOUT, events};
  lws_service_fd(context_, &event);
}

void LwsReactor::writable(lws* connection) noexcept { service(connection, POLLOUT); }

bool LwsReactor::is_blocked(lws* connection) noexcept { return lws_partial_buffered(connection) != 0; }

std::span<std::uint8_t> LwsReactor::frame() noexcept { return {frame_.get() + LWS_PRE, kLargestFrame}; }

bool LwsReactor::send_frame(lws* connection, std::size_t size) noexcept {
  return lws_write(connection, frame().data(), size, LWS_WRITE_BINARY) >= 0;
}

bool LwsReactor::send_pong(lws* connection, std::string_view payload) noexcept {
  std::array<unsigned char, LWS_PRE + 125> bytes;
  assert(payload.size() <= bytes.size() - LWS_PRE);
  std::copy(payload.begin(), payload.end(), bytes.begin() + LWS_PRE);
  return lws_write(connection, bytes.data() + LWS_PRE, payload.size(), LWS_WRITE_PONG) >= 0;
}

// It sends the frame when it can write, and would wait for the peer's: that is not told to it either.
void LwsReactor::send_close(lws* connection, CloseCode code, std::string_view reason) noexcept {
  std::array<unsigned char, 123> text;
  const std::size_t size = std::min(reason.size(), text.size());
  std::copy_n(reason.begin(), size, text.begin());
  lws_close_reason(connection, static_cast<lws_close_status>(code), text.data(), size);
  lws_set_timeout(connection, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

// With the end of the socket at hand it does not try to say goodbye.
void LwsReactor::kill(lws* connection) noexcept { service(connection, POLLHUP); }

Ref<LwsReactor> LwsReactors::of(const ReactorApi& reactor) {
  const std::lock_guard lock(mutex_);
  for (const auto& [known, made] : all_) {
    if (known == &reactor) return made;
  }
  Ref<LwsReactor> made = LwsReactor::create();
  if (made) all_.emplace_back(&reactor, made);
  return made;
}

void LwsReactors::forget(const ReactorApi& reactor) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(all_, [&](const auto& entry) { return entry.first == &reactor; });
}

}  // namespace mqloop::websocket
