// Who publishes what to whom in a flow: pairs, fanout or fanin.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/load/clients.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/packets.h"

namespace mqloop::load {

struct FlowShape {
  struct Publisher {
    Client client;
    std::string topic;
    int qos = 0;
  };

  std::string name;
  std::vector<Publisher> publishers;
  std::vector<Client> subscribers;
  uint32_t fan = 1;                 // deliveries of each message
  bool sees_all_publishers = true;  // each subscriber; otherwise it sees the publisher of its own number
  bool sees_every_message = true;   // of the publishers that it sees; not so in a shared group
};

FlowShape flow_shape(const Options& options);

}  // namespace mqloop::load
