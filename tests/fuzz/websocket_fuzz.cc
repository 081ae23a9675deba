// What a WebSocket client may send: a request and frames. Whatever it is, a stream that gets it in one piece and one
// that gets it in two, and moves to another place in between, read the same; on a socket of its own, and on a Stream.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <mqloop/log.h>

#include "core/base/clock.h"
#include "core/event/reactor.h"
#include "plugins/transport_websocket/web_socket_stream.h"

namespace mqloop {

namespace {

class NoLog final : public Log {
 public:
  using Log::write;
  [[nodiscard]] bool enabled(LogLevel /*level*/, std::string_view /*module*/) const noexcept override { return false; }
  void write(LogLevel /*level*/, std::string_view /*module*/, std::string_view /*event*/,
             std::span<const LogField> /*fields*/) noexcept override {}
};

struct NoOwner final : StreamOwner {
  void on_readable() noexcept override {}
  void on_writable() noexcept override {}
};

struct World {
  SystemClock clock;
  NoLog log;
  std::unique_ptr<event::Reactor> reactor =
      std::move(event::Reactor::create({.index = 0, .clock = clock, .log = log, .workers = nullptr})).value();
  websocket::LwsReactors reactors;
  Ref<websocket::UpgradePolicy> policy = Ref<websocket::UpgradePolicy>::adopt(new websocket::UpgradePolicy);
  // Keeps libwebsockets' context from one input to the next.
  Ref<websocket::LwsReactor> kept = reactors.of(*reactor);
};

World& world() {
  static World world;
  return world;
}

struct Reading {
  std::string payload;
  IoResult end{IoOutcome::kWouldBlock};
};

void read_all(Stream& stream, Reading& reading) {
  std::array<std::uint8_t, 3000> bytes;
  for (;;) {
    const IoResult result = stream.read(bytes);
    if (result.outcome != IoOutcome::kDone) {
      reading.end = result;
      return;
    }
    reading.payload.append(reinterpret_cast<const char*>(bytes.data()), result.bytes);
  }
}

std::unique_ptr<Stream> make_stream(AcceptedSocket accepted, bool over_a_stream) {
  using websocket::WebSocketStream;
  if (!over_a_stream) {
    return std::make_unique<WebSocketStream>(std::move(accepted), world().policy, world().reactors);
  }
  return std::make_unique<WebSocketStream>(make_socket_stream(std::move(accepted)), world().policy, world().reactors);
}

Reading read_through(std::string_view first, std::string_view second, bool over_a_stream) {
  std::array<int, 2> pair;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) != 0) std::abort();
  AcceptedSocket accepted;
  accepted.fd = pair[0];
  accepted.is_tcp = false;
  accepted.peer_address = "unix";
  NoOwner owner;
  Reading reading;
  {
    const std::unique_ptr<Stream> made = make_stream(std::move(accepted), over_a_stream);
    Stream& stream = *made;
    if (!stream.attach(*world().reactor, owner).ok()) std::abort();
    bool may_settle = first.empty();
    for (const std::string_view part : {first, second}) {
      if (part.empty()) continue;
      if (write(pair[1], part.data(), part.size()) != static_cast<ssize_t>(part.size())) std::abort();
      read_all(stream, reading);
      if (!may_settle && (!stream.detach() || !stream.attach(*world().reactor, owner).ok())) std::abort();
      may_settle = true;
    }
  }
  close(pair[1]);
  return reading;
}

}  // namespace

}  // namespace mqloop

using namespace mqloop;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3 || size > 60000) return 0;
  const std::size_t cut = data[1] << 8 | data[2];
  std::string_view input(reinterpret_cast<const char*>(data + 3), size - 3);
  std::string text;
  if ((data[0] & 1) != 0) {  // frames at once
    text = websocket::plain_request("dGhlIHNhbXBsZSBub25jZQ==", "mqtt").replace(4, 1, "/mqtt");
    text += input;
    input = text;
  }
  const std::size_t at = std::min(cut, input.size());
  const Reading whole = read_through({}, input, (data[0] & 2) != 0);
  const Reading parts = read_through(input.substr(0, at), input.substr(at), (data[0] & 4) != 0);
  if (whole.end.outcome != parts.end.outcome || whole.payload != parts.payload) std::abort();
  return 0;
}
