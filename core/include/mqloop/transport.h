// Transports: what bytes travel on. A Transport opens listeners; a listener accepts connections and hands each to the
// broker as a Stream: bytes in, bytes out, nothing of MQTT.
//
// A Stream belongs to one reactor at a time, the one that it is attached to; all its calls and callbacks are on that
// reactor's thread. The broker may detach it and attach it to another reactor when its session lives there (a
// connection moves to its session). Reading and writing never block.
//
// LAYERS. A Stream may stand on another Stream, or on a socket of which something else was read first:
//
//   { TCP | Unix socket }  >  PROXY  >  TLS  >  framer (WebSocket)  >  MQTT
//
// 1. Sockets and PROXY are done by SocketListener (<mqloop/socket.h>), for every transport that derives from it. The
//    PROXY header is taken off the descriptor on the listener's reactor, to the byte, before anybody sees the
//    connection: what is above it starts with a clean descriptor, and with the client's address and not the proxy's.
// 2. SocketListener::wrap() is where a transport begins: it gets the descriptor with all that is known of the peer, and
//    returns the uppermost Stream. It does not wait: a handshake goes on in read() and write() of the Stream, on the
//    reactor that the Stream is attached to, under limits.connect_timeout.
// 3. A layer owns the Stream below it, and is its StreamOwner. It attaches it with itself as the owner, forwards
//    attach(), detach(), watch_...() and finish_writing(), and keeps what it is in the midst of in its own object: so
//    all of it moves to another reactor with the Stream, and nothing below notices. A layer that cannot leave its
//    reactor answers detach() with false. What it holds decoded and unread it tells by has_unread().
// 4. Who the peer is (peer_address(), peer_is_loopback(), peer_identity()) each layer answers as the one below it does,
//    but for what it knows better: TLS adds the certificate. The broker asks the uppermost, and hands the identity on
//    to authenticators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <mqloop/config.h>
#include <mqloop/export.h>
#include <mqloop/peer_identity.h>
#include <mqloop/plugin.h>
#include <mqloop/reactor_api.h>
#include <mqloop/status.h>

struct iovec;  // <sys/uio.h>

namespace mqloop {

class Figures;  // <mqloop/publisher.h>

enum class IoOutcome : std::uint8_t {
  kDone,        // `bytes` bytes went; at least one
  kWouldBlock,  // nothing went: wait for the event
  kEnd,         // reading: the peer has closed its side
  kError,       // the connection is broken; `error` says how
};

struct IoResult {
  IoOutcome outcome;
  int error = 0;  // errno, with kError
  std::size_t bytes = 0;
};

// Told by a Stream that is attached. Either may destroy the stream.
class MQLOOP_API StreamOwner {
 public:
  virtual void on_readable() noexcept = 0;
  virtual void on_writable() noexcept = 0;

 protected:
  ~StreamOwner() = default;
};

class MQLOOP_API Stream {
 public:
  // Closes the connection at once; what was written but not yet sent by the system is still sent by it.
  virtual ~Stream();

  // Starts events on `reactor`: readable is watched, writable is not. The owner outlives the attachment.
  virtual Status attach(ReactorApi& reactor, StreamOwner& owner) noexcept = 0;
  // Ends all events, so that another reactor may attach the stream. False when this kind of stream cannot leave.
  virtual bool detach() noexcept = 0;
  // It stays on this reactor from here on: the broker will not detach it any more.
  virtual void settle() noexcept {}

  // Reads what is there, at most into.size() bytes.
  virtual IoResult read(std::span<std::uint8_t> into) noexcept = 0;
  // Writes the parts in order, as much as goes at once.
  virtual IoResult write(std::span<const iovec> parts) noexcept = 0;
  // Switched off, on_readable() is not called, whatever arrives. The peer is slowed down by the transport itself.
  virtual void watch_readable(bool on) noexcept = 0;
  // Switched on after kWouldBlock, off when all is written.
  virtual void watch_writable(bool on) noexcept = 0;
  // Bytes that this side of the stream holds already and for which no event will come (TLS): read on without one.
  [[nodiscard]] virtual bool has_unread() const noexcept { return false; }
  // No more will be written: the peer sees the end after what was written. Reading goes on.
  virtual void finish_writing() noexcept = 0;

  // "192.0.2.1:51234", "[2001:db8::1]:51234", or for a Unix socket "unix:USER:PID"; as long as the stream lives. Behind
  // a proxy that told it, the client's.
  [[nodiscard]] virtual std::string_view peer_address() const noexcept = 0;
  // Where the connection itself comes from, the same as long as the stream lives. peer_address() may become another one
  // when a proxy tells of its client; limits for each address count this one.
  [[nodiscard]] virtual std::string_view source_address() const noexcept { return peer_address(); }
  // The peer is on this machine: 127.0.0.0/8, ::1 or a Unix socket. Who comes by a proxy counts as from elsewhere.
  [[nodiscard]] virtual bool peer_is_loopback() const noexcept = 0;
  // What is known of the peer beside its address; null when that is nothing. As long as the stream lives.
  [[nodiscard]] virtual const PeerIdentity* peer_identity() const noexcept { return nullptr; }
  // After kError: what went wrong, where errno does not say it ("TLS handshake: no shared cipher"); else empty. For the
  // log, as long as the stream lives.
  [[nodiscard]] virtual std::string_view failure() const noexcept { return {}; }
};

// The broker's side of a listener, called on the listener's reactor.
class MQLOOP_API StreamSink {
 public:
  // The broker owns the stream from here on; it may refuse it by destroying it.
  virtual void accepted(std::unique_ptr<Stream> stream) noexcept = 0;
  // The listener itself has turned a connection away; it is logged and counted like those that the broker refuses.
  virtual void refused(std::string_view /*peer_address*/, std::string_view /*reason*/) noexcept {}

 protected:
  ~StreamSink() = default;
};

class MQLOOP_API TransportListener {
 public:
  // Closes the listening socket.
  virtual ~TransportListener();

  // Binds and listens, before any reactor runs. The message of a failure names the address, and who holds it when that
  // can be told; connections may wait in the system's queue from here on.
  virtual Status open() = 0;
  // "127.0.0.1:1883", with the port that the system chose when 0 was asked for. After open().
  [[nodiscard]] virtual std::string_view address() const noexcept = 0;
  // Only what is on this machine can be the peer of its streams: every address that it listens on is this machine's
  // alone, and no proxy hands on what comes from elsewhere. After open().
  [[nodiscard]] virtual bool is_loopback() const noexcept = 0;

  // Accepts on this reactor, a bounded batch in each turn, until stop(). When descriptors run out it pauses by itself
  // and tries again later.
  virtual Status start(ReactorApi& reactor, StreamSink& sink) noexcept = 0;
  // Stops accepting for a while: the system's queue fills. Used by limits.
  virtual void pause(bool on) noexcept = 0;
  virtual void stop() noexcept = 0;

  // In place of open(), for a listener of which the configuration says something new while `running`, of the same name
  // and transport, goes on until this one is started: what both of them listen on need not be opened again. On a thread
  // of its own; of `running` only what is fixed since its open() may be looked at.
  virtual Status open_in_place_of(const TransportListener& /*running*/) { return open(); }

  // The configuration was read again and says the same of this listener: it goes on. `made` was made of it by
  // make_listener() once more, is never opened, and goes away: what it has read from files may be taken over for who
  // connects from now on. On the listener's reactor.
  virtual void renew(TransportListener& /*made*/) noexcept {}
  // What there is to tell, for $SYS/broker/listeners/NAME; at once and without waiting for anything. On the listener's
  // reactor, while it is started.
  virtual void report(Figures& /*figures*/) const {}
};

class MQLOOP_API Transport {
 public:
  virtual ~Transport();
  // The keys that this transport adds to an item of `listeners:`, such as `bind`.
  virtual void describe_listener(Schema& schema) const = 0;
  // Makes a listener from an item of `listeners:`, checked against that schema. Nothing is opened yet.
  virtual Result<std::unique_ptr<TransportListener>> make_listener(const ConfigNode& listener) const = 0;
};

// The usual base of a transport plugin.
class MQLOOP_API TransportPlugin : public Plugin, public Transport {
 public:
  Transport* transport() noexcept final { return this; }
};

}  // namespace mqloop
