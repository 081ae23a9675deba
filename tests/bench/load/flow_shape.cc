#include "tests/bench/load/flow_shape.h"

#include <unistd.h>

#include "tests/bench/load/base.h"

namespace mqloop::load {

namespace {

struct Speech {
  int qos;
  int version;
};

// What number `i` speaks in a mix: every QoS with both versions.
Speech mixed(int i) { return {i % 3, i / 3 % 2 == 0 ? 4 : 5}; }

int given_or(int given, int otherwise) { return given > 0 ? given : otherwise; }

// Levels that bring a topic of `levels` to --depth.
std::string more_levels(int depth, int levels) {
  std::string text;
  for (int i = levels; i < depth; ++i) text += "/l" + std::to_string(i);
  return text;
}

class Maker {
 public:
  explicit Maker(const Options& options) : options_(options), run_(std::to_string(getpid() % 100000)) {}

  FlowShape pairs() {
    const int count = given_or(options_.publishers, options_.pairs);
    shape_.sees_all_publishers = false;
    for (int i = 0; i < count; ++i) {
      const Speech speech = options_.mix ? mixed(i) : Speech{options_.qos, options_.version};
      const std::string topic = "pair/" + run_ + "/" + std::to_string(i) + more_levels(options_.depth, 4) + "/data";
      add_publisher(topic, speech);
      add_subscriber(topic, {options_.mix ? speech.qos : options_.granted_qos(), speech.version});
    }
    return std::move(shape_);
  }

  FlowShape fanout() {
    const int subscribers = given_or(options_.subscribers, 100);
    const std::string topic = "fan/" + run_ + more_levels(options_.depth, 3) + "/out";
    for (int i = 0; i < given_or(options_.publishers, 1); ++i) add_publisher(topic, {options_.qos, options_.version});
    for (int i = 0; i < subscribers; ++i) {
      add_subscriber(topic, options_.mix ? mixed(i) : Speech{options_.granted_qos(), options_.version});
    }
    shape_.fan = static_cast<uint32_t>(subscribers);
    return std::move(shape_);
  }

  FlowShape fanin() {
    const bool is_shared = options_.group > 0;
    const int subscribers = given_or(options_.group, given_or(options_.subscribers, 1));
    const std::string above = "in/" + run_ + more_levels(options_.depth, 3) + "/";
    for (int i = 0; i < given_or(options_.publishers, 100); ++i) {
      add_publisher(above + std::to_string(i), options_.mix ? mixed(i) : Speech{options_.qos, options_.version});
    }
    const std::string filter = (is_shared ? "$share/g" + run_ + "/" : "") + above + "+";
    const int granted = options_.mix ? 2 : options_.granted_qos();
    for (int i = 0; i < subscribers; ++i) add_subscriber(filter, {granted, options_.version});
    shape_.fan = is_shared ? 1 : static_cast<uint32_t>(subscribers);
    shape_.sees_every_message = !is_shared || subscribers == 1;
    return std::move(shape_);
  }

 private:
  void add_publisher(const std::string& topic, Speech speech) {
    shape_.publishers.push_back({{connect(speech, "p", shape_.publishers.size()), {}, 0}, topic, speech.qos});
  }
  void add_subscriber(const std::string& filter, Speech speech) {
    shape_.subscribers.push_back({connect(speech, "s", shape_.subscribers.size()), {filter}, speech.qos});
  }
  ConnectPacket connect(Speech speech, const char* kind, size_t number) const {
    const std::string id = client_id(kind, number);
    return options_.durable ? connect_packet(speech.version, id, false, 3600) : connect_packet(speech.version, id);
  }

  const Options& options_;
  const std::string run_;  // so that runs side by side do not hear each other
  FlowShape shape_;
};

}  // namespace

FlowShape flow_shape(const Options& options) {
  const std::string& name = options.scenario == "latency" ? options.shape : options.scenario;
  Maker maker(options);
  FlowShape shape;
  if (name == "pairs") {
    shape = maker.pairs();
  } else if (name == "fanout") {
    shape = maker.fanout();
  } else if (name == "fanin") {
    shape = maker.fanin();
  } else {
    die("unknown shape %s", name.c_str());
  }
  shape.name = name;
  return shape;
}

}  // namespace mqloop::load
