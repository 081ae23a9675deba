// ProxyReception: connections of proxies between accept and the end of their PROXY header. Owned by a SocketListener,
// on its reactor alone. A header is taken off the descriptor to the byte, so whatever comes after it is still there for
// who gets the connection. Invariant: each connection leaves by being told or by clear(), and what leaves by clear() or
// refused is closed.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <string_view>

#include <mqloop/reactor_api.h>
#include <mqloop/socket.h>

#include "core/event/proxy_header.h"

struct event_base;

namespace mqloop::event {

class ProxyReception {
 public:
  // Told as each connection leaves; may begin or clear others.
  class Owner {
   public:
    virtual void proxy_spoke(AcceptedSocket proxy, const ProxyHeader& header) noexcept = 0;
    virtual void proxy_refused(std::string_view peer_address, std::string_view reason) noexcept = 0;
    // Went away without a word, as who only looks whether the port is open.
    virtual void proxy_left() noexcept = 0;

   protected:
    ~Owner() = default;
  };

  ProxyReception(ProxyProtocol::Version taken, std::chrono::milliseconds timeout, Owner& owner);
  ~ProxyReception();
  ProxyReception(const ProxyReception&) = delete;
  ProxyReception& operator=(const ProxyReception&) = delete;

  void begin(ReactorApi& reactor, AcceptedSocket proxy);
  [[nodiscard]] std::size_t waiting() const noexcept;
  // Closes all that wait.
  void clear() noexcept;

 private:
  struct Waiting;
  using Place = std::list<Waiting>::iterator;

  static void on_event(int fd, short what, void* waiting);
  void read(Place at) noexcept;
  void wait_on(Place at) noexcept;
  void refuse(Place at, std::string_view reason) noexcept;
  AcceptedSocket take_out(Place at) noexcept;

  const ProxyProtocol::Version taken_;
  const std::chrono::milliseconds timeout_;
  Owner& owner_;
  std::list<Waiting> waiting_;
};

}  // namespace mqloop::event
