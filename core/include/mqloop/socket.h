// Building blocks for transports that travel on sockets: a Stream over a descriptor, and a listener that does all that
// is the same for every kind of transport. Link with libmqloop; see plugins/transport_tcp for the shortest use.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <mqloop/config.h>
#include <mqloop/export.h>
#include <mqloop/status.h>
#include <mqloop/transport.h>

struct sockaddr;

namespace mqloop {

// A connected, non-blocking stream socket; the Stream owns `fd` from here on. What peer_address() and
// peer_is_loopback() answer is asked of the socket.
[[nodiscard]] MQLOOP_API std::unique_ptr<Stream> make_socket_stream(int fd);
// The same where the address is known already.
[[nodiscard]] MQLOOP_API std::unique_ptr<Stream> make_socket_stream(int fd, const sockaddr& peer);

// "192.0.2.1:51234", "[2001:db8::1]:51234"; an IPv4 address inside IPv6 is shown as IPv4; the path of a Unix socket,
// "unix" when it has none.
[[nodiscard]] MQLOOP_API std::string address_text(const sockaddr& address);
// 127.0.0.0/8, ::1 or a Unix socket.
[[nodiscard]] MQLOOP_API bool address_is_loopback(const sockaddr& address) noexcept;

// Accepts on TCP sockets. A name is resolved once, in open(), and every address that it has is listened on. At most 64
// connections are taken per socket and turn; when descriptors or memory run out it stops for ten milliseconds, or while
// none become free for up to half a second, says so at most once a minute, and tries again.
class MQLOOP_API SocketListener : public TransportListener {
 public:
  struct Options {
    Endpoint bind;       // [::] takes IPv4 too; with port 0 the system chooses one
    std::string origin;  // where it was asked for, for messages: "listener 'local', mqloop.yaml:9"; may be empty
    int backlog = 4096;  // the system may allow less (net.core.somaxconn)
  };
  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t failed = 0;       // gone before they were accepted, or refused by wrap()
    std::uint64_t exhaustions = 0;  // times that descriptors or memory had run out
  };

  explicit SocketListener(Options options);
  ~SocketListener() override;

  Status open() override;
  [[nodiscard]] std::string_view address() const noexcept override;
  [[nodiscard]] bool is_loopback() const noexcept override;
  Status start(ReactorApi& reactor, StreamSink& sink) noexcept override;
  void pause(bool on) noexcept override;
  void stop() noexcept override;

  // On the listener's reactor.
  [[nodiscard]] Counters counters() const noexcept;

 protected:
  // Makes a Stream of an accepted socket, which is non-blocking, closed on exec and has TCP_NODELAY; owns `fd` in any
  // case. Null refuses the connection. The default is make_socket_stream().
  virtual std::unique_ptr<Stream> wrap(int fd, const sockaddr& peer) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mqloop
