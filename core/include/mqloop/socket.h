// Building blocks for transports that travel on sockets: a Stream over a descriptor, and a listener that does all that
// is the same for every kind of transport: TCP and Unix sockets, the PROXY protocol, sockets that systemd has opened.
// Link with libmqloop; see plugins/transport_tcp for the shortest use.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>
#include <mqloop/export.h>
#include <mqloop/peer_identity.h>
#include <mqloop/status.h>
#include <mqloop/transport.h>

struct sockaddr;

namespace mqloop {

// A connection as a listener has it before it becomes a Stream: the descriptor and all that is known of the peer.
// Whoever it is handed to owns `fd`, which is non-blocking and closed on exec.
struct AcceptedSocket {
  int fd = -1;
  bool is_tcp = true;                                 // or a Unix socket
  bool peer_is_loopback = false;                      // as Stream answers it
  std::string peer_address = {};                      // as Stream answers it
  std::unique_ptr<const PeerIdentity> identity = {};  // null: nothing is known but the address
};

// A connected, non-blocking stream socket; the Stream owns `fd` from here on. What peer_address() and
// peer_is_loopback() answer is asked of the socket.
[[nodiscard]] MQLOOP_API std::unique_ptr<Stream> make_socket_stream(int fd);
// The same where the address is known already.
[[nodiscard]] MQLOOP_API std::unique_ptr<Stream> make_socket_stream(int fd, const sockaddr& peer);
[[nodiscard]] MQLOOP_API std::unique_ptr<Stream> make_socket_stream(AcceptedSocket socket);

// "192.0.2.1:51234", "[2001:db8::1]:51234"; an IPv4 address inside IPv6 is shown as IPv4; the path of a Unix socket,
// "unix" when it has none.
[[nodiscard]] MQLOOP_API std::string address_text(const sockaddr& address);
// 127.0.0.0/8, ::1 or a Unix socket.
[[nodiscard]] MQLOOP_API bool address_is_loopback(const sockaddr& address) noexcept;

// A Unix socket to listen on.
struct UnixSocketPath {
  std::string path;                 // absolute; at most 107 bytes
  mode_t mode = 0660;               // who may write to it may connect
  std::optional<uid_t> owner = {};  // absent: who runs this
  std::optional<gid_t> group = {};
};

// What the system asks of a peer that has been silent. MQTT has its Keep Alive; this finds peers without one that are
// gone.
struct TcpKeepAlive {
  std::chrono::seconds idle{120};     // of silence before the first question
  std::chrono::seconds interval{15};  // between two questions
  int probes = 4;                     // without an answer until the connection is broken
};

// Every connection has to begin with a PROXY header, and comes from a proxy that is believed.
struct ProxyProtocol {
  enum class Version : std::uint8_t { kAny, kV1, kV2 };
  // On TCP the addresses and networks of the proxies, such as "10.0.0.0/8"; on a Unix socket the names or numbers of
  // the users that they run as. Nobody else may connect.
  std::vector<std::string> from = {};
  Version version = Version::kAny;
  std::chrono::milliseconds header_timeout{5000};  // from accept to a whole header
};

// Accepts on sockets. A name is resolved once, in open(), and every address that it has is listened on. At most 64
// connections are taken per socket and turn; when descriptors or memory run out it stops for ten milliseconds, or while
// none become free for up to half a second, says so at most once a minute, and tries again.
//
// A Unix socket is made anew where nobody listens on the one that is there; nothing else that stands at its path is
// touched. It goes when the listener is destroyed.
class MQLOOP_API SocketListener : public TransportListener {
 public:
  struct Options {
    Endpoint bind = {};       // [::] takes IPv4 too; with port 0 the system chooses one
    std::string origin = {};  // where it was asked for, for messages: "listener 'local', mqloop.yaml:9"; may be empty
    int backlog = 4096;       // the system may allow less (net.core.somaxconn)

    // TCP
    std::string interface = {};  // only what comes in by this network interface; empty: by any
    bool dual_stack = true;      // [::] takes IPv4 too
    bool nodelay = true;
    std::optional<TcpKeepAlive> keep_alive = {};

    std::optional<UnixSocketPath> unix_socket = {};  // in place of TCP
    // In place of `bind` or a path: the sockets to which systemd gave this name (FileDescriptorName=).
    std::string systemd_socket = {};
    std::optional<ProxyProtocol> proxy = {};
  };
  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t failed = 0;       // gone before they were accepted, or refused by wrap()
    std::uint64_t exhaustions = 0;  // times that descriptors or memory had run out
    std::uint64_t refused = 0;      // no proxy that is believed, or no header that is; each is told to the sink
  };

  // The keys of a listener on TCP (`bind` ...) or on a Unix socket (`path` ...), for Transport::describe_listener(),
  // and the options that they make: every transport that travels on either has them so.
  static void describe_tcp(Schema& schema, std::string_view default_bind = "127.0.0.1:1883");
  static void describe_unix(Schema& schema);
  static Result<Options> tcp_options(const ConfigNode& listener);
  static Result<Options> unix_options(const ConfigNode& listener);

  explicit SocketListener(Options options);
  ~SocketListener() override;

  Status open() override;
  // Where the two listen at the same address, they share the socket.
  Status open_in_place_of(const TransportListener& running) override;
  [[nodiscard]] std::string_view address() const noexcept override;
  [[nodiscard]] bool is_loopback() const noexcept override;
  Status start(ReactorApi& reactor, StreamSink& sink) noexcept override;
  void pause(bool on) noexcept override;
  void stop() noexcept override;

  // On the listener's reactor.
  [[nodiscard]] Counters counters() const noexcept;

 protected:
  // Makes a Stream of an accepted connection, off which a PROXY header has been taken; owns its descriptor in any case.
  // Null refuses the connection. The default is make_socket_stream().
  virtual std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mqloop
