#include "core/broker/publisher_trouble.h"

#include <utility>

#include "core/broker/connection.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

void PublisherTrouble::set(ReasonCode reason) noexcept {
  reason_ = reason;
  if (*this) return;
  timer_.stop();
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    if (Connection* connection = shard_.find(waiting.connection)) connection->unpause();
  }
}

void PublisherTrouble::wait(const Connection& connection) {
  waiting_.push_back({connection.handle(), shard_.loop().now() + kPatience});
  if (!timer_.armed()) shard_.loop().timers().start(timer_, waiting_.front().until);
}

void PublisherTrouble::on_timer() noexcept {
  while (!waiting_.empty() && waiting_.front().until <= shard_.loop().now()) {
    const ConnectionHandle handle = waiting_.front().connection;
    waiting_.pop_front();
    if (Connection* connection = shard_.find(handle)) {
      connection->drop("the broker cannot keep what the client wants, nor tell it so");
    }
  }
  if (!waiting_.empty()) shard_.loop().timers().start(timer_, waiting_.front().until);
}

void PublisherTrouble::stop() noexcept {
  timer_.stop();
  waiting_.clear();
}

}  // namespace mqloop::broker
