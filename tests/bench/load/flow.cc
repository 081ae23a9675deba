#include "tests/bench/load/flow.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tests/bench/load/scenarios.h"

namespace mqloop::load {

Flow::Flow(const Options& options, Loop& loop)
    : options_(options),
      loop_(loop),
      shape_(flow_shape(options)),
      is_open_loop_(options.scenario == "latency"),
      waits_for_delivery_(options.gate != "ack"),
      publisher_connections_(shape_.publishers.size()),
      subscriber_connections_(shape_.subscribers.size()),
      seen_(shape_.subscribers.size() * (shape_.sees_all_publishers ? shape_.publishers.size() : 1)),
      meter_(options.pid) {
  for (const FlowShape::Publisher& of : shape_.publishers) {
    publishers_.push_back({.publish = PublishTemplate({.topic = of.topic,
                                                       .version = of.client.connect.version,
                                                       .qos = of.qos,
                                                       .payload = options.stamped_payload()}),
                           .qos = of.qos});
  }
}

void Flow::on_publish(Connection& connection, const Delivery& delivery) {
  Stamp stamp;
  if (delivery.payload.size() < sizeof stamp) {
    ++bad_;
    return;
  }
  std::memcpy(&stamp, delivery.payload.data(), sizeof stamp);
  if (stamp.publisher >= publishers_.size()) {
    ++bad_;
    return;
  }
  Publisher& publisher = publishers_[stamp.publisher];
  ++delivered_;
  ++publisher.delivered;
  ++publisher.settled;
  uint32_t& last = shape_.sees_all_publishers ? seen_[size_t{connection.index} * publishers_.size() + stamp.publisher]
                                              : seen_[connection.index];
  if (stamp.sequence == last + 1) {
    last = stamp.sequence;
  } else if (stamp.sequence > last) {
    if (shape_.sees_every_message) gaps_ += stamp.sequence - last - 1;
    last = stamp.sequence;
  } else {
    ++disorder_;
  }
  if (!is_open_loop_) {
    make_ready(stamp.publisher);
  } else if (stamp.value >= window_start_ && stamp.value < window_end_) {
    latency_.add(now_ns() - stamp.value);
  }
}

void Flow::on_ack(Connection& connection) {
  ++publishers_[connection.index].acked;
  if (!is_open_loop_) make_ready(connection.index);
}

void Flow::make_ready(uint32_t publisher) {
  if (publishers_[publisher].is_ready) return;
  publishers_[publisher].is_ready = true;
  ready_.push_back(publisher);
}

void Flow::send(uint32_t number, uint64_t stamp) {
  Publisher& publisher = publishers_[number];
  char* out = loop_.room(publisher_connections_[number], publisher.publish.size());
  const auto packet_id = static_cast<uint16_t>(publisher.sent % 65535 + 1);
  ++publisher.sent;
  publisher.publish.write(out, packet_id, {number, static_cast<uint32_t>(publisher.sent), stamp});
}

void Flow::top_up(uint32_t number) {
  const Publisher& publisher = publishers_[number];
  const uint64_t delivered = publisher.settled / shape_.fan;
  const uint64_t done = publisher.qos == 0    ? delivered
                        : waits_for_delivery_ ? std::min(delivered, publisher.acked)
                                              : publisher.acked;
  while (publisher.sent - done < static_cast<uint64_t>(options_.window)) send(number, 0);
}

void Flow::pump() {
  for (const uint32_t publisher : ready_) {
    publishers_[publisher].is_ready = false;
    if (is_running_) top_up(publisher);
  }
  ready_.clear();
  loop_.flush_all();
}

bool Flow::is_complete() const {
  return std::all_of(publishers_.begin(), publishers_.end(), [this](const Publisher& publisher) {
    return publisher.settled >= publisher.sent * shape_.fan &&
           (publisher.qos == 0 || publisher.acked >= publisher.sent);
  });
}

Flow::Tally Flow::tally() const {
  Tally tally{.delivered = delivered_, .sent = 0, .counters = loop_.counters()};
  for (const Publisher& publisher : publishers_) tally.sent += publisher.sent;
  return tally;
}

void Flow::open() {
  constexpr int kConcurrency = 200;
  constexpr double kAtRest = 0.1;
  constexpr size_t kPerSource = 15000;
  std::vector<Client> clients;
  for (const FlowShape::Publisher& publisher : shape_.publishers) clients.push_back(publisher.client);
  loop_.use_sources((clients.size() + shape_.subscribers.size()) / kPerSource + 1);
  open_all(loop_, subscriber_connections_, shape_.subscribers, kConcurrency);
  open_all(loop_, publisher_connections_, clients, kConcurrency);
  loop_.set_handler(this);
  loop_.settle(kAtRest);
}

bool Flow::begin_window_at(uint64_t now) {
  if (!has_begun_ && now >= window_start_) {
    has_begun_ = true;
    meter_.begin();
    first_ = tally();
  }
  return now >= window_end_;
}

void Flow::run() {
  open();
  window_start_ = now_ns() + static_cast<uint64_t>(options_.warm * 1e9);
  window_end_ = window_start_ + static_cast<uint64_t>(options_.seconds * 1e9);
  is_running_ = true;
  is_open_loop_ ? run_open() : run_closed();
  meter_.end();
  last_ = tally();
  is_running_ = false;
  drain();
  report().print();
  leave_all(loop_, publisher_connections_);
  leave_all(loop_, subscriber_connections_);
}

void Flow::run_open() {
  prctl(PR_SET_TIMERSLACK, 1UL);
  const uint64_t start = now_ns();
  const double interval = 1e9 / options_.rate;
  uint64_t sent = 0;
  uint64_t next = start;
  for (;;) {
    const uint64_t now = now_ns();
    if (begin_window_at(now)) return;
    while (next <= now) {
      send(static_cast<uint32_t>(sent % publishers_.size()), next);
      if (next >= window_start_) lateness_.add(now - next);
      next = start + static_cast<uint64_t>(static_cast<double>(++sent) * interval);
    }
    loop_.flush_all();
    const uint64_t then = now_ns();
    loop_.turn(options_.spin || next <= then ? 0 : next - then);
    loop_.flush_all();
  }
}

void Flow::run_closed() {
  constexpr double kStalled = 2;
  for (uint32_t i = 0; i < publishers_.size(); ++i) top_up(i);
  loop_.flush_all();
  Patience patience(kStalled);
  while (!begin_window_at(now_ns())) {
    loop_.turn(kSecond / 50);
    pump();
    if (!patience.is_over(delivered_)) continue;
    write_off();
    patience = Patience(kStalled);
  }
}

// What is missing is lost: the window must not stay closed for it.
void Flow::write_off() {
  ++stalls_;
  for (uint32_t i = 0; i < publishers_.size(); ++i) {
    Publisher& publisher = publishers_[i];
    publisher.settled = std::max(publisher.settled, publisher.sent * shape_.fan);
    publisher.acked = publisher.sent;
    top_up(i);
  }
  loop_.flush_all();
}

void Flow::drain() {
  constexpr double kStalled = 3;
  const uint64_t end = meter_.end_ns() + static_cast<uint64_t>(options_.drain * 1e9);
  Patience patience(kStalled);
  while (!is_complete() && !patience.is_over(delivered_) && now_ns() < end) {
    loop_.turn(kSecond / 50);
    pump();
  }
}

void run_flow(const Options& options, Loop& loop) { Flow(options, loop).run(); }

}  // namespace mqloop::load
