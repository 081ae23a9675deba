#include "tests/bench/support/bare_broker.h"

#include <utility>

#include "tests/bench/support/bare_client.h"
#include "tests/bench/support/meter.h"

namespace mqloop::bench {

bool BareLoop::is_ready() noexcept {
  return woken_ || begun_ || turn_requested() || !accepted_.empty() || !readable_.empty() ||
         timers().next_deadline() <= clock().now();
}

void BareLoop::turn() noexcept {
  handled_.clear();
  std::swap(handled_, readable_);
  auto accepted = std::exchange(accepted_, {});
  woken_ = false;
  {
    const Counted counted;
    forget_time();
    for (auto& [sink, stream] : accepted) sink->accepted(std::move(stream));
    for (BareClient* client : handled_) client->handle_readable();
    run_turn();
  }
  begun_ = false;
  for (BareClient* client : handled_) client->ask_to_be_read();
}

class BareBroker::Listener final : public TransportListener {
 public:
  Status open() override { return ok(); }
  [[nodiscard]] std::string_view address() const noexcept override { return "127.0.0.1:1883"; }
  [[nodiscard]] bool is_loopback() const noexcept override { return true; }
  Status start(ReactorApi& /*reactor*/, StreamSink& sink) noexcept override {
    sink_ = &sink;
    return ok();
  }
  void pause(bool /*on*/) noexcept override {}
  void stop() noexcept override {}
  [[nodiscard]] StreamSink& sink() const noexcept { return *sink_; }

 private:
  StreamSink* sink_ = nullptr;
};

BareBroker::BareBroker() { settings().sys.enabled = false; }

BareBroker::~BareBroker() { broker_.reset(); }

void BareBroker::start() { start(publisher_); }

void BareBroker::start(Publisher& publisher) {
  broker::Components& components = configuration_->components;
  components.publisher = &publisher;
  auto listener = std::make_unique<Listener>();
  listener_ = listener.get();
  broker::ListenerComponent component;
  component.settings = &settings().listeners[0];
  component.listener = std::move(listener);
  components.listeners.push_back(std::move(component));
  broker_.emplace(configuration_, broker::Environment{random_, log_, {&loop_}, {}});
  expect(broker_->open_listeners().ok() && broker_->open_publisher().ok(), "the broker opens");
  bool started = false;
  broker_->start([&started](const Status& status) { started = status.ok(); });
  settle();
  expect(started, "the broker starts");
}

void BareBroker::connect(BareClient& client) { loop_.accepted(listener_->sink(), client.make_stream()); }

void BareBroker::step() {
  loop_.turn();
  for (BareClient* client : std::exchange(answering_, {})) client->handle_output();
}

void BareBroker::settle() {
  while (loop_.is_ready()) step();
}

}  // namespace mqloop::bench
