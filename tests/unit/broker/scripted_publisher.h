// A durable publisher that answers as one with a database does, keeps nothing, and completes turns when the test says
// so, or at once. What it was told it writes down. For loops that share one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mqloop/publisher.h>

#include "tests/support/transcript_client.h"

namespace mqloop::broker::test {

class ScriptedPublisher final : public Publisher {
 public:
  // What recover() gives back.
  std::function<void(Recovery&)> kept;
  // Turns are completed as soon as they can be.
  bool prompt = false;
  // Deliveries of QoS 2 wait for their turn.
  bool holds = true;
  // CONNACK of a session that is resumed waits for its turn.
  bool keeps_resumes = false;

  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {true, false, false, true}; }
  Status open(Log& /*log*/) override { return ok(); }
  Status recover(Recovery& recovery) override {
    if (kept) kept(recovery);
    return ok();
  }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override {
    return std::make_unique<Shard>(*this, reactor, sink);
  }
  void close() noexcept override {}

  // Every turn that has been flushed, or those of one reactor up to `number`. Between turns.
  void complete() {
    for (const auto& [source, number] : flushed_) complete(source, number);
  }
  void complete(std::uint32_t source, std::uint64_t number) {
    tell([source, number](PublishSink& sink) { sink.complete_through(source, number); });
  }
  // The latest turn of a reactor that has been flushed.
  [[nodiscard]] std::uint64_t flushed(std::uint32_t source = 0) { return flushed_[source]; }
  void set_trouble(ReasonCode reason) {
    tell([reason](PublishSink& sink) { sink.set_trouble(reason); });
  }
  void set_backlog(Backlog level) {
    tell([level](PublishSink& sink) { sink.set_backlog(level); });
  }

  // What it was told since the last call, or nothing: "created a, block m #1".
  [[nodiscard]] std::string take() { return std::exchange(told_, {}); }

 private:
  class Shard final : public PublisherShard {
   public:
    Shard(ScriptedPublisher& publisher, ReactorApi& reactor, PublishSink& sink)
        : publisher_(publisher), reactor_(reactor), sink_(sink) {
      publisher_.shards_.push_back(this);
    }
    ~Shard() override { std::erase(publisher_.shards_, this); }

    void admit(PublishOp& request) override {
      const bool durable_exchange = request.qos == QoS::kExactlyOnce && request.session_is_durable;
      if (!request.durable_recipients && !request.retain && !durable_exchange) {
        request.admission = Admission::kPassThrough;
        return;
      }
      request.ack_later = request.qos != QoS::kAtMostOnce;
      if (request.qos != QoS::kExactlyOnce || !publisher_.holds) return;
      request.hold = request.session_is_durable ? Hold::kExactlyOnce : Hold::kDurableExactlyOnce;
    }
    void published(const SourceBlock& block) override {
      for (const Published& publish : block.publishes) publisher_.told("published " + payload_of(publish.message));
    }
    void recipients(const RecipientBlock& block) override {
      for (const Recipient& recipient : block.recipients) publisher_.told("block " + text_of(recipient));
    }
    void subscribe(SubscribeOp& op) override { op.ack_later = op.session_is_durable; }
    void unsubscribe(UnsubscribeOp& op) override { op.ack_later = op.session_is_durable; }
    void session_event(SessionEvent& event) override {
      static constexpr const char* kNames[] = {"created", "resumed", "disconnected", "will_taken", "ended", "released"};
      publisher_.told(kNames[static_cast<unsigned>(event.kind)] + (' ' + std::string(event.session.client_id)));
      event.ack_later = event.kind == SessionEventKind::kCreated || event.kind == SessionEventKind::kEnded ||
                        event.kind == SessionEventKind::kReleased ||
                        (event.kind == SessionEventKind::kResumed && publisher_.keeps_resumes);
    }
    void delivery_event(DeliveryEvent& event) override {
      static constexpr const char* kNames[] = {"delivered", "received", "acknowledged",
                                               "dropped",   "returned", "group_done"};
      publisher_.told(kNames[static_cast<unsigned>(event.kind)] + (' ' + text_of(event.delivery)));
      event.ack_later = event.kind == DeliveryEventKind::kReceived ||
                        (event.kind == DeliveryEventKind::kDelivered && event.delivery.qos == QoS::kExactlyOnce);
    }
    void retained_event(const RetainedEvent& event) override {
      publisher_.told((event.message == nullptr ? "cleared " : "retained ") + std::string(event.topic));
    }
    void flush(std::uint64_t number) override { publisher_.flushed_[reactor_.index()] = number; }
    void end_turn() override {
      if (publisher_.prompt) publisher_.complete();
    }
    void drain(std::chrono::milliseconds /*deadline*/) override {}

   private:
    friend class ScriptedPublisher;
    ScriptedPublisher& publisher_;
    ReactorApi& reactor_;
    PublishSink& sink_;
  };
  using Word = std::function<void(PublishSink&)>;
  struct Letter {
    ScriptedPublisher& publisher;
    Shard* to;
    Word word;
  };

  static std::string payload_of(const Message* message) {
    if (message == nullptr) return "-";
    return {reinterpret_cast<const char*>(message->payload().data()), message->payload().size()};
  }
  static std::string text_of(const Recipient& recipient) {
    std::string text = payload_of(recipient.message);
    if (recipient.packet_id != 0) text += " #" + std::to_string(recipient.packet_id);
    if (!recipient.group.empty()) text += ' ' + std::string(recipient.group);
    return text;
  }
  void told(const std::string& what) { told_ += (told_.empty() ? "" : ", ") + what; }
  void tell(const Word& word) {
    for (Shard* shard : shards_) {
      shard->reactor_.post(
          [](void* argument) noexcept {
            const std::unique_ptr<Letter> letter(static_cast<Letter*>(argument));
            const auto& there = letter->publisher.shards_;
            if (std::find(there.begin(), there.end(), letter->to) != there.end()) letter->word(letter->to->sink_);
          },
          new Letter{*this, shard, word});
    }
  }

  std::vector<Shard*> shards_;
  std::map<std::uint32_t, std::uint64_t> flushed_;  // by reactor: its latest turn
  std::string told_;
};

// What a client says whose session such a publisher keeps.
[[nodiscard]] inline sim::TranscriptClient::Connect durable(bool clean_start = true) {
  sim::TranscriptClient::Connect options;
  options.clean_start = clean_start;
  options.expiry_interval = 3600;
  return options;
}

}  // namespace mqloop::broker::test
