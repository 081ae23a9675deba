#include "plugins/transport_websocket/lws_reactor.h"

#include <libwebsockets.h>

#include <algorithm>
#include <array>

namespace mqloop::websocket {

namespace {

constexpr std::size_t kServiceBuffer = 4096;

int refuse_with(lws* connection, CloseCode code) {
  if (code == CloseCode::kNone) return 0;
  lws_close_reason(connection, static_cast<lws_close_status>(code), nullptr, 0);
  return -1;
}

int on_event(lws* connection, lws_callback_reasons reason, void* /*user*/, void* in, std::size_t size) {
  auto* owner = connection == nullptr ? nullptr : static_cast<LwsOwner*>(lws_get_opaque_user_data(connection));
  if (owner == nullptr) return 0;
  const std::span bytes(static_cast<const std::uint8_t*>(in), in == nullptr ? 0 : size);
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      owner->on_established();
      return 0;
    case LWS_CALLBACK_RECEIVE:
      return refuse_with(connection, owner->on_payload(bytes, lws_frame_is_binary(connection) != 0));
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
      return refuse_with(connection, owner->on_close_frame(bytes));
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
      owner->on_leaving();
      return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
      lws_set_opaque_user_data(connection, nullptr);
      owner->on_gone();
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
  entry.rx_buffer_size = LwsReactor::kReadSize;
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
  made->context_ = lws_create_context(&info);
  if (made->context_ == nullptr) return nullptr;
  made->host_ = lws_create_vhost(made->context_, &info);
  if (made->host_ == nullptr) return nullptr;
  return made;
}

LwsReactor::~LwsReactor() {
  if (context_ != nullptr) lws_context_destroy(context_);
}

lws* LwsReactor::adopt(int fd, LwsOwner& owner) noexcept {
  lws_adopt_desc_t description{};
  description.vh = host_;
  description.type = static_cast<lws_adoption_type>(LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP);
  description.fd.sockfd = fd;
  description.opaque = &owner;
  lws* connection = lws_adopt_descriptor_vhost_via_info(&description);
  // Without user data it would not tell that it begins to close.
  if (connection != nullptr) lws_set_wsi_user(connection, &owner);
  return connection;
}

int LwsReactor::descriptor(lws* connection) noexcept { return lws_get_socket_fd(connection); }

void LwsReactor::service(lws* connection, short events) noexcept {
  lws_pollfd event{lws_get_socket_fd(connection), POLLIN | POLLOUT, events};
  lws_service_fd(context_, &event);
}

void LwsReactor::readable(lws* connection) noexcept { service(connection, POLLIN); }

void LwsReactor::writable(lws* connection) noexcept { service(connection, POLLOUT); }

bool LwsReactor::is_blocked(lws* connection) noexcept { return lws_partial_buffered(connection) != 0; }

std::span<std::uint8_t> LwsReactor::frame() noexcept { return {frame_.get() + LWS_PRE, kLargestFrame}; }

bool LwsReactor::send_frame(lws* connection, std::size_t size) noexcept {
  return lws_write(connection, frame().data(), size, LWS_WRITE_BINARY) >= 0;
}

void LwsReactor::close(lws* connection, CloseCode code, std::string_view reason) noexcept {
  std::array<unsigned char, 64> text;
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
