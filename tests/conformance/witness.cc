#include "tests/conformance/witness.h"

#include <span>
#include <string_view>

namespace mqloop::conformance {

namespace {

std::string payload_of(const Message& message) {
  return {reinterpret_cast<const char*>(message.payload().data()), message.payload().size()};
}

}  // namespace

class Witness::Shard final : public PublisherShard, private PublishSink {
 public:
  Shard(Witness& witness, ReactorApi& reactor, PublishSink& sink)
      : witness_(witness),
        index_(reactor.index()),
        sink_(sink),
        shard_(witness.publisher_.make_shard(reactor, *this)) {}

  void admit(PublishOp& request) override {
    shard_->admit(request);
    if (request.hold == Hold::kEverything || (request.hold == Hold::kExactlyOnce && request.qos == QoS::kExactlyOnce)) {
      witness_.held_.emplace(request.payload.begin(), request.payload.end());
    }
  }
  void published(const SourceBlock& block) override { shard_->published(block); }
  void recipients(const RecipientBlock& block) override {
    for (const Recipient& recipient : block.recipients) {
      if (recipient.group.empty()) continue;
      const Key key{payload_of(*recipient.message), std::string(recipient.group)};
      say(key, "given");
      if (recipient.session != 0 || recipient.packet_id != 0) fault("a group with a session or a packet identifier");
      if (witness_.held_.contains(key.first)) {
        witness_.incomplete_[{block.turn.source, block.turn.number}].push_back({key, index_});
      }
    }
    shard_->recipients(block);
  }
  void subscribe(SubscribeOp& subscription) override { shard_->subscribe(subscription); }
  void unsubscribe(UnsubscribeOp& subscription) override { shard_->unsubscribe(subscription); }
  void session_event(SessionEvent& event) override {
    if (witness_.ended_.contains(event.session.number)) fault("an event of a session that has ended");
    if (event.kind == SessionEventKind::kEnded) witness_.ended_.insert(event.session.number);
    shard_->session_event(event);
  }
  void delivery_event(DeliveryEvent& event) override {
    note(event);
    shard_->delivery_event(event);
  }
  void retained_event(const RetainedEvent& event) override { shard_->retained_event(event); }
  void end_turn() override { shard_->end_turn(); }
  void flush(std::uint64_t number) override { shard_->flush(number); }
  void drain(std::chrono::milliseconds deadline) override { shard_->drain(deadline); }

 private:
  void deliver(Ref<const Message> message) noexcept override { sink_.deliver(std::move(message)); }
  void complete_through(std::uint32_t source, std::uint64_t number) noexcept override {
    for (auto& [turn, waiting] : witness_.incomplete_) {
      if (turn.first != source || turn.second > number) continue;
      std::erase_if(waiting, [this](const Waiting& one) {
        if (one.owner == index_) say(one.key, "complete");
        return one.owner == index_;
      });
    }
    sink_.complete_through(source, number);
  }
  void set_backlog(Backlog level) noexcept override { sink_.set_backlog(level); }
  void set_trouble(ReasonCode reason) noexcept override { sink_.set_trouble(reason); }

  void note(const DeliveryEvent& event) {
    const Recipient& delivery = event.delivery;
    if (delivery.session != 0 && witness_.ended_.contains(delivery.session)) {
      fault("a delivery of a session that has ended");
    }
    switch (event.kind) {
      case DeliveryEventKind::kDelivered:
        if (delivery.group.empty()) return;
        witness_.with_members_[{delivery.session, delivery.delivery}] = key_of(delivery);
        say(key_of(delivery), "delivered", delivery.session);
        return;
      case DeliveryEventKind::kAcknowledged:
      case DeliveryEventKind::kDropped: {
        const auto found = witness_.with_members_.find({delivery.session, delivery.delivery});
        if (found == witness_.with_members_.end()) return;
        say(found->second, event.kind == DeliveryEventKind::kDropped ? "dropped" : "acknowledged", delivery.session);
        witness_.with_members_.erase(found);
        return;
      }
      case DeliveryEventKind::kReturned:
        if (witness_.with_members_.erase({delivery.session, delivery.delivery}) == 0) fault("returned, not delivered");
        say(key_of(delivery), "returned", delivery.session);
        return;
      case DeliveryEventKind::kGroupDone:
        if (delivery.session != 0) fault("a group is done, of a session");
        say(key_of(delivery), "done");
        return;
      default:
        return;
    }
  }
  static Key key_of(const Recipient& delivery) { return {payload_of(*delivery.message), std::string(delivery.group)}; }

  void say(const Key& key, const char* what, std::uint64_t session = 0) {
    witness_.stories_[key].push_back({what, session, index_});
  }
  void fault(const char* what) { witness_.faults_.emplace_back(what); }

  Witness& witness_;
  std::uint32_t index_;
  PublishSink& sink_;
  std::unique_ptr<PublisherShard> shard_;
};

std::unique_ptr<PublisherShard> Witness::make_shard(ReactorApi& reactor, PublishSink& sink) {
  return std::make_unique<Shard>(*this, reactor, sink);
}

}  // namespace mqloop::conformance
