// limits.rates of one client: what comes faster is left unread for a while, so that TCP slows the client down. Its Keep
// Alive stands still meanwhile, as whenever the broker does not read; nothing is lost and nobody is cut off.
#include "core/broker/connection.h"
#include "core/broker/connection_rare.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

void Connection::start_pacing() {
  const auto& rates = limits().rates;
  is_paced_ = rates.publish_per_client != 0 || rates.bytes_per_client != 0;
  if (!is_paced_) return;
  auto& pace = rare().pace;
  pace = std::make_unique<Pace>(*this);
  pace->publish_rate = rates.publish_per_client;
  pace->byte_rate = rates.bytes_per_client;
}

bool Connection::may_read() noexcept {
  const Pace& pace = *rare_->pace;
  return rest_until_due(pace.bytes.wait(pace.byte_rate, shard_.loop().now()));
}

void Connection::note_read(std::size_t bytes) noexcept {
  Pace& pace = *rare_->pace;
  pace.bytes.take(pace.byte_rate, bytes, shard_.loop().now());
}

bool Connection::may_publish() noexcept {
  const Pace& pace = *rare_->pace;
  return rest_until_due(pace.publishes.wait(pace.publish_rate, shard_.loop().now()));
}

void Connection::note_publish() noexcept {
  Pace& pace = *rare_->pace;
  pace.publishes.take(pace.publish_rate, 1, shard_.loop().now());
}

bool Connection::rest_until_due(std::chrono::milliseconds wait) noexcept {
  if (wait == std::chrono::milliseconds::zero()) return true;
  wait_for_answer();
  shard_.loop().timers().start(rare_->pace->rested, event::add_saturating(shard_.loop().now(), wait));
  return false;
}

void Connection::on_rested() noexcept { go_on(); }

}  // namespace mqloop::broker
