#include "core/broker/sys_tree.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "core/base/build_info.h"
#include "core/broker/broker.h"
#include "core/broker/routed_message.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// A name as one level of a topic.
std::string level_of(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '+' || c == '#'; }, '_');
  return name;
}

}  // namespace

void LoadAverages::update(std::uint64_t total, double seconds) noexcept {
  const double a_minute = seconds > 0 ? static_cast<double>(total - last_) * 60 / seconds : 0;
  for (std::size_t i = 0; seconds > 0 && i != kMinutes.size(); ++i) {
    averages_[i] = a_minute + std::exp(-seconds / (60.0 * kMinutes[i])) * (averages_[i] - a_minute);
  }
  last_ = total;
}

SysTree::SysTree(Broker& broker, HashSeed seed) : broker_(broker), values_(broker.reactors(), seed) {}

void SysTree::apply_settings() {
  timer_.stop();
  if (!broker_.settings().sys.enabled) {
    clear_all();
    return;
  }
  event::Loop& loop = broker_.shard(0).loop();
  if (started_ == MonotonicTime{}) {
    started_ = last_ = loop.now();
    put("version", std::string("mqloop version ") + build::kVersion);
  }
  publish_all();
  loop.timers().start(timer_, event::add_saturating(loop.now(), broker_.settings().sys.interval));
}

void SysTree::stop() noexcept { timer_.stop(); }

void SysTree::on_interval() noexcept { apply_settings(); }

void SysTree::publish_all() {
  const MonotonicTime now = broker_.shard(0).loop().now();
  put("uptime", std::to_string(std::chrono::floor<std::chrono::seconds>(now - started_).count()) + " seconds");
  publish_clients();
  publish_traffic();
  publish_stores();
  publish_memory();
  publish_drops();
  publish_plugins();
  publish_publisher();
  publish_listeners();
  publish_loads(std::chrono::duration<double>(now - last_).count());
  last_ = now;
}

void SysTree::publish_clients() {
  const std::uint64_t connected = broker_.total(&Counters::clients_connected);
  const std::uint64_t sessions = std::max(connected, broker_.total(&Counters::sessions));
  most_connected_ = std::max(most_connected_, connected);
  put("clients/total", sessions);
  put("clients/connected", connected);
  put("clients/active", connected);
  put("clients/disconnected", sessions - connected);
  put("clients/inactive", sessions - connected);
  put("clients/maximum", most_connected_);
  put("clients/expired", broker_.total(&Counters::sessions_expired));
  put("clients/taken_over", broker_.total(&Counters::take_overs));
  put("clients/braked", broker_.total(&Counters::take_overs_braked));
  put("connections/open", broker_.total(&Counters::connections_open));
  put("connections/refused", broker_.connections_refused());
  put("publishers/held", broker_.total(&Counters::publishers_held));
}

void SysTree::publish_traffic() {
  put("bytes/received", broker_.total(&Counters::bytes_received));
  put("bytes/sent", broker_.total(&Counters::bytes_sent));
  put("messages/received", broker_.total(&Counters::packets_received));
  put("messages/sent", broker_.total(&Counters::packets_sent));
  put("publish/messages/received", broker_.total(&Counters::publishes_received));
  put("publish/messages/sent", broker_.total(&Counters::publishes_sent));
  put("publish/messages/dropped", dropped_by_limits());
  put("publish/bytes/received", broker_.total(&Counters::payload_received));
  put("publish/bytes/sent", broker_.total(&Counters::payload_sent));
}

void SysTree::publish_stores() {
  const std::uint64_t retained = broker_.retained().count();
  const std::uint64_t stored = retained + broker_.total(&Counters::messages_waiting);
  put("messages/stored", stored);
  put("store/messages/count", stored);
  put("store/messages/bytes", broker_.retained().bytes() + broker_.total(&Counters::bytes_waiting));
  put("retained messages/count", retained);
  put("subscriptions/count", broker_.total(&Counters::subscriptions));
  put("shared_subscriptions/count", broker_.total(&Counters::shared_subscriptions));
}

// What the process has of memory; nothing where the system does not say.
void SysTree::publish_memory() {
  const std::uint64_t current = resident_bytes();
  most_memory_ = std::max(most_memory_, current);
  put("heap/current", current);
  put("heap/maximum", most_memory_);
  if (broker_.settings().limits.memory == 0) return;
  put("memory/held", broker_.memory().held());
  put("memory/stage", name_of(broker_.memory().stage()));
}

void SysTree::publish_drops() {
  for (std::size_t i = 0; i != kDropCauses; ++i) {
    const auto cause = static_cast<DropCause>(i);
    put("drops/" + std::string(name_of(cause)), broker_.total_drops(cause));
  }
}

// mosquitto's figure: what queues and windows that were full have cost.
std::uint64_t SysTree::dropped_by_limits() const noexcept {
  return broker_.total_drops(DropCause::kQueueFull) + broker_.total_drops(DropCause::kQueueDisplaced) +
         broker_.total_drops(DropCause::kBackPressure) + broker_.total_drops(DropCause::kMemory);
}

void SysTree::publish_plugins() {
  struct Figure {
    std::string_view name;
    Counter HookStatistics::*counter;
  };
  static constexpr Figure kFigures[] = {
      {"calls", &HookStatistics::calls},       {"later", &HookStatistics::later},
      {"failed", &HookStatistics::failed},     {"dropped", &HookStatistics::dropped},
      {"timeouts", &HookStatistics::timeouts}, {"slow", &HookStatistics::slow},
  };
  for (const PluginInstance& instance : broker_.instances()) {
    if (instance.authenticator == nullptr && instance.authorizer == nullptr) continue;
    const std::string name = level_of(instance.name);
    for (const Figure& figure : kFigures) {
      put("plugins/" + name + "/" + std::string(figure.name), broker_.total(instance, figure.counter));
    }
  }
}

// What others say of themselves, below a topic of theirs.
struct SysTree::Reported final : Figures {
  Reported(SysTree& tree, std::string below) : tree_(tree), below_(std::move(below)) {}
  void figure(std::string_view name, std::uint64_t value) override { tree_.put(below_ + std::string(name), value); }

 private:
  SysTree& tree_;
  const std::string below_;
};

void SysTree::publish_listeners() {
  for (const auto& [name, listener] : broker_.listeners()) {
    Reported reported(*this, "listeners/" + level_of(name) + "/");
    listener->report(reported);
  }
}

void SysTree::publish_publisher() {
  Reported reported(*this, "publisher/" + level_of(broker_.settings().publisher.plugin) + "/");
  broker_.publisher().report(reported);
}

void SysTree::publish_loads(double seconds) {
  const Load loads[] = {
      {"messages/received", broker_.total(&Counters::packets_received)},
      {"messages/sent", broker_.total(&Counters::packets_sent)},
      {"publish/received", broker_.total(&Counters::publishes_received)},
      {"publish/sent", broker_.total(&Counters::publishes_sent)},
      {"publish/dropped", dropped_by_limits()},
      {"bytes/received", broker_.total(&Counters::bytes_received)},
      {"bytes/sent", broker_.total(&Counters::bytes_sent)},
      {"sockets", broker_.total(&Counters::connections_accepted) + broker_.connections_refused()},
      {"connections", broker_.total(&Counters::connects_accepted) + broker_.total(&Counters::connects_refused)},
  };
  loads_.resize(std::size(loads));
  for (std::size_t i = 0; i != std::size(loads); ++i) {
    loads_[i].update(loads[i].total, seconds);
    for (std::size_t over = 0; over != LoadAverages::kMinutes.size(); ++over) {
      char text[32];
      const int size = std::snprintf(text, sizeof text, "%.2f", loads_[i].over(over));
      put("load/" + std::string(loads[i].topic) + "/" + std::to_string(LoadAverages::kMinutes[over]) + "min",
          {text, static_cast<std::size_t>(size)});
    }
  }
}

void SysTree::put(std::string_view topic, std::string_view value) {
  const std::string full = "$SYS/broker/" + std::string(topic);
  const std::span<const std::uint8_t> payload(reinterpret_cast<const std::uint8_t*>(value.data()), value.size());
  const Ref<const Message> last = values_.get(full, 0).message;
  if (last && std::ranges::equal(last->payload(), payload)) return;
  Message::Content content;
  content.topic = full;
  content.payload = payload;
  content.retain = true;
  const Ref<const Message> message = Message::create(content);
  const std::uint64_t sequence = values_.store(message, 0).sequence;
  RoutedMessage routed(message);
  broker_.shard(0).publishing().publish_own(routed, sequence);
}

void SysTree::clear_all() {
  RetainedCursor cursor = RetainedCursor::everything(values_, 0);
  std::vector<Ref<const Message>> removed;
  while (values_.sweep(
      cursor, [](const Message&) { return true; }, 1000, removed)) {
  }
  started_ = {};
}

}  // namespace mqloop::broker
