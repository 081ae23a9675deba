#include "plugins/transport_websocket/lws_reactor.h"

#include <fcntl.h>
#include <libwebsockets.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace mqloop::websocket {

namespace {

// With so many the memory and the two descriptors of a context are not felt, and its tables are looked through in no
// time.
constexpr unsigned kConnectionsPerContext = 64;
// Slots for its own purposes.
constexpr unsigned kOwnSlots = 4;
constexpr std::size_t kServiceBuffer = 1024;
constexpr std::size_t kLongestPlainRequest = 1024;  // a plain_request() is shorter
constexpr std::size_t kLongestAnswer = 1024;
// Set aside for each connection, for what libwebsockets reads: nothing.
constexpr std::size_t kReadSize = 128;

lws_protocols protocol(const char* name, lws_callback_function* callback) {
  lws_protocols entry{};
  entry.name = name;
  entry.callback = callback;
  entry.rx_buffer_size = kReadSize;
  entry.tx_packet_size = LwsReactor::kLargestFrame + 16;  // all of a frame goes by one call
  return entry;
}

// No pings and no timeouts: MQTT has its own, and nothing would run them.
const lws_retry_bo_t kNoKeepAlive{};

}  // namespace

struct LwsReactor::Context {
  explicit Context(LwsReactor& whose) : reactor(whose) {
    // The first one gets what belongs to no subprotocol.
    static const std::array<lws_protocols, 4> protocols{
        protocol("http", on_lws_event), protocol("mqtt", on_lws_event), protocol("mqttv3.1", on_lws_event), {}};
    lws_context_creation_info info{};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols.data();
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6;
    info.gid = static_cast<gid_t>(-1);
    info.uid = static_cast<uid_t>(-1);
    info.count_threads = 1;
    info.fd_limit_per_thread = kConnectionsPerContext + kOwnSlots;
    info.pt_serv_buf_size = kServiceBuffer;
    info.max_http_header_data = kLongestPlainRequest;
    info.retry_and_idle_policy = &kNoKeepAlive;
    info.vhost_name = "mqloop";
    info.user = this;
    // Nobody promises that it may be done on two threads at a time.
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    context = lws_create_context(&info);
    if (context != nullptr) host = lws_create_vhost(context, &info);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    if (context != nullptr) lws_context_destroy(context);
  }
  static Context& of(lws* connection) { return *static_cast<Context*>(lws_context_user(lws_get_context(connection))); }
  static int on_lws_event(lws* connection, lws_callback_reasons reason, void* /*user*/, void* /*in*/,
                          std::size_t /*n*/) {
    return connection == nullptr ? 0 : on_event(connection, reason);
  }

  LwsReactor& reactor;
  lws_context* context = nullptr;
  lws_vhost* host = nullptr;
  unsigned connections = 0;
};

LwsReactor::LwsReactor() : frame_(std::make_unique_for_overwrite<std::uint8_t[]>(LWS_PRE + kLargestFrame)) {}

LwsReactor::~LwsReactor() {
  for (const int fd : nowhere_) {
    if (fd >= 0) ::close(fd);
  }
}

Ref<LwsReactor> LwsReactor::create() {
  // Its log has no sender: what it says of a connection the broker knows too.
  static const bool is_silent = (lws_set_log_level(0, nullptr), true);
  (void)is_silent;
  Ref<LwsReactor> made = Ref<LwsReactor>::adopt(new LwsReactor);
  if (made->context_with_room() == nullptr) return nullptr;
  return made;
}

LwsReactor::Context* LwsReactor::context_with_room() noexcept {
  if (usual_ != nullptr && usual_->connections < kConnectionsPerContext) return usual_;
  for (const std::unique_ptr<Context>& context : contexts_) {
    if (context->connections < kConnectionsPerContext) return usual_ = context.get();
  }
  auto made = std::make_unique<Context>(*this);
  if (made->host == nullptr) return nullptr;
  ++empty_;
  usual_ = made.get();
  contexts_.push_back(std::move(made));
  return usual_;
}

// One without a connection is kept.
void LwsReactor::let_go_of(Context* context) noexcept {
  if (context->connections != 0 || empty_ < 2) return;
  --empty_;
  if (usual_ == context) usual_ = nullptr;
  std::erase_if(contexts_, [&](const auto& kept) { return kept.get() == context; });
}

int LwsReactor::on_event(lws* connection, int reason) noexcept {
  Context& context = Context::of(connection);
  auto* owner = static_cast<LwsOwner*>(lws_get_opaque_user_data(connection));
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      context.reactor.established_ = true;
      return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
      if (owner == nullptr) return 0;
      lws_set_opaque_user_data(connection, nullptr);
      if (--context.connections == 0) ++context.reactor.empty_;
      owner->on_gone();
      return 0;
    case LWS_CALLBACK_HTTP:
      return -1;  // only upgrades come here
    default:
      return 0;
  }
}

lws* LwsReactor::adopt(int fd, std::string_view request, LwsOwner& owner) noexcept {
  Context* const context = context_with_room();
  if (context == nullptr) {
    ::close(fd);
    return nullptr;
  }
  established_ = false;
  lws* connection = lws_adopt_socket_vhost_readbuf(context->host, fd, request.data(), request.size());
  if (connection == nullptr) return nullptr;
  if (!established_) {
    service(connection, POLLHUP);
    return nullptr;
  }
  lws_set_opaque_user_data(connection, &owner);
  if (context->connections++ == 0) --empty_;
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
  lws_service_fd(lws_get_context(connection), &event);
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
void LwsReactor::kill(lws* connection) noexcept {
  Context* const context = &Context::of(connection);
  service(connection, POLLHUP);
  let_go_of(context);
}

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
