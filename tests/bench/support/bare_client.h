// A client of a BareBroker: what it sends is read by the broker's next turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <mqloop/transport.h>

#include "tests/bench/support/client.h"

namespace mqloop::bench {

class BareBroker;

class BareClient final : public Client {
 public:
  BareClient(BareBroker& broker, std::string id, ProtocolVersion version = ProtocolVersion::kV311);

  // It takes effect in the broker's next turns, as all that it sends.
  void connect(bool clean_start = true, bool keep_session = false);

  // ---- for the broker
  [[nodiscard]] std::unique_ptr<Stream> make_stream();
  void handle_output() { answer(); }
  void handle_readable() noexcept;
  // As a system does for as long as there is something to read.
  void ask_to_be_read();

 private:
  class Wire;

  void has_sent() override { ask_to_be_read(); }
  [[nodiscard]] bool is_readable() const noexcept;

  BareBroker& broker_;
  Wire* wire_ = nullptr;       // the broker's end
  std::size_t sent_from_ = 0;  // what is before was read
  bool in_readable_ = false;
};

using Clients = std::vector<std::unique_ptr<BareClient>>;

// What they have got, all together.
[[nodiscard]] inline std::uint64_t messages_of(const Clients& clients) {
  std::uint64_t sum = 0;
  for (const auto& client : clients) sum += client->messages();
  return sum;
}

}  // namespace mqloop::bench
