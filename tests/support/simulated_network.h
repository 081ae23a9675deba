// The network of a simulation: links in memory between clients and a broker's streams. Bytes travel when deliver_some()
// says so, in pieces of any size, and what may go wrong with a TCP connection goes wrong here by chance: splits, short
// writes, full windows, resets that lose what was under way, peers that vanish without a word.
// Owns the links; the broker owns its streams, clients only hold numbers. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/transport.h>

#include "tests/support/simulated_loop.h"
#include "tests/support/simulated_random.h"

namespace mqloop::sim {

struct NetworkFaults {
  bool split = false;                 // pieces of a few bytes, short reads and writes
  std::size_t capacity = 256 * 1024;  // bytes that fit between the broker and a client before writing would block
};

using LinkId = std::uint64_t;

// The client's end of a link.
class LinkClient {
 public:
  virtual void on_bytes(LinkId link, std::span<const std::uint8_t> bytes) = 0;
  // The broker has closed its end, or the link broke.
  virtual void on_closed(LinkId link) = 0;

 protected:
  ~LinkClient() = default;
};

class SimulatedNetwork {
 public:
  explicit SimulatedNetwork(SimulatedRandom& random);
  SimulatedNetwork(const SimulatedNetwork&) = delete;
  SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;
  ~SimulatedNetwork();

  void set_faults(const NetworkFaults& faults) noexcept { faults_ = faults; }

  // One listener; it and its streams must die before the network.
  [[nodiscard]] std::unique_ptr<TransportListener> make_listener();

  // ---- the clients' side
  [[nodiscard]] LinkId connect(LinkClient& client);
  void send(LinkId link, std::span<const std::uint8_t> bytes);
  // No more will be sent; what was sent still arrives.
  void finish(LinkId link);
  // The connection breaks: what is under way is lost, on both sides. The client hears no more of it.
  void reset(LinkId link);
  // The client is gone and nobody tells the broker; what was sent and has not arrived is lost.
  void vanish(LinkId link);
  // Switched off, the client takes nothing, and the broker's window fills.
  void set_reading(LinkId link, bool on);
  // The broker still holds its end.
  [[nodiscard]] bool is_open_at_broker(LinkId link) const;

  // ---- the simulation's side
  // Links that have something under way, as many times as there are directions.
  [[nodiscard]] std::vector<LinkId> links_under_way() const;
  void deliver_some(LinkId link);
  [[nodiscard]] std::size_t streams() const noexcept;

 private:
  class Listener;
  class StreamEnd;
  struct Link;

  [[nodiscard]] Link* find(LinkId id) const noexcept;
  void drop_if_done(LinkId id);

  SimulatedRandom& random_;
  NetworkFaults faults_;
  std::uint64_t last_id_ = 0;
  Listener* listener_ = nullptr;
  std::map<LinkId, std::unique_ptr<Link>> links_;
};

}  // namespace mqloop::sim
