// Transports: what bytes travel on. A Transport opens listeners; a listener accepts connections and hands each to the
// broker as a Stream: bytes in, bytes out, nothing of MQTT.
//
// A Stream belongs to one reactor at a time, the one that it is attached to; all its calls and callbacks are on that
// reactor's thread. The broker may detach it and attach it to another reactor when its session lives there (a
// connection moves to its session). Reading and writing never block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <mqloop/config.h>
#include <mqloop/export.h>
#include <mqloop/plugin.h>
#include <mqloop/reactor_api.h>
#include <mqloop/status.h>

struct iovec;  // <sys/uio.h>

namespace mqloop {

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

  // "192.0.2.1:51234", "[2001:db8::1]:51234", or a path; as long as the stream lives.
  [[nodiscard]] virtual std::string_view peer_address() const noexcept = 0;
  // Where the connection itself comes from, the same as long as the stream lives. peer_address() may become another one
  // when a proxy tells of its client; limits for each address count this one.
  [[nodiscard]] virtual std::string_view source_address() const noexcept { return peer_address(); }
  // The peer is on this machine: 127.0.0.0/8, ::1 or a Unix socket.
  [[nodiscard]] virtual bool peer_is_loopback() const noexcept = 0;
};

// The broker's side of a listener, called on the listener's reactor.
class MQLOOP_API StreamSink {
 public:
  // The broker owns the stream from here on; it may refuse it by destroying it.
  virtual void accepted(std::unique_ptr<Stream> stream) noexcept = 0;

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
  // Every address that it listens on belongs to this machine alone. After open().
  [[nodiscard]] virtual bool is_loopback() const noexcept = 0;

  // Accepts on this reactor, a bounded batch in each turn, until stop(). When descriptors run out it pauses by itself
  // and tries again later.
  virtual Status start(ReactorApi& reactor, StreamSink& sink) noexcept = 0;
  // Stops accepting for a while: the system's queue fills. Used by limits.
  virtual void pause(bool on) noexcept = 0;
  virtual void stop() noexcept = 0;
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
