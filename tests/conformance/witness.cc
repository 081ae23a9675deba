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

  void admit(std::span<PublishOp> publishes) override {
    shard_->admit(publishes);
    for (const PublishOp& op : publishes) {
      const std::string payload = payload_of(*op.message);
      witness_.payloads_[{index_, op.sequence}] = payload;
      if (op.admission == Admission::kHoldUntilComplete) witness_.held_.insert(payload);
    }
  }
  void published(const SourceBlock& block) override { shard_->published(block); }
  void recipients(const RecipientBlock& block) override {
    for (const Recipient& recipient : block.recipients) {
      if (recipient.group.empty()) continue;
      const Key key{witness_.payloads_[{block.turn.source, recipient.sequence}], std::string(recipient.group)};
      say(key, "given");
      if (recipient.session != 0 || recipient.packet_id != 0) fault("a group with a session or a packet identifier");
      if (witness_.held_.contains(key.first)) {
        witness_.incomplete_[{block.turn.source, block.turn.number}].push_back({key, index_});
      }
    }
    shard_->recipients(block);
  }
  void subscribe(std::span<SubscribeOp> subscriptions) override { shard_->subscribe(subscriptions); }
  void unsubscribe(std::span<UnsubscribeOp> subscriptions) override { shard_->unsubscribe(subscriptions); }
  void session_events(std::span<const SessionEvent> events) override {
    for (const SessionEvent& event : events) note(event);
    shard_->session_events(events);
  }
  void retained_events(std::span<const RetainedEvent> events) override { shard_->retained_events(events); }
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

  void note(const SessionEvent& event) {
    if (event.session != 0 && witness_.ended_.contains(event.session)) fault("an event of a session that has ended");
    switch (event.kind) {
      case SessionEventKind::kDelivered:
        if (event.group.empty()) return;
        witness_.with_members_[{event.session, event.packet_id}] = key_of(event);
        say(key_of(event), "delivered", event.session);
        return;
      case SessionEventKind::kAcknowledged: {
        const auto found = witness_.with_members_.find({event.session, event.packet_id});
        if (found == witness_.with_members_.end()) return;
        say(found->second, "acknowledged", event.session);
        witness_.with_members_.erase(found);
        return;
      }
      case SessionEventKind::kReturned:
        if (witness_.with_members_.erase({event.session, event.packet_id}) == 0) fault("returned, not delivered");
        say(key_of(event), "returned", event.session);
        return;
      case SessionEventKind::kGroupDone:
        if (event.session != 0) fault("a group is done, of a session");
        say(key_of(event), "done");
        return;
      case SessionEventKind::kEnded:
        witness_.ended_.insert(event.session);
        return;
      default:
        return;
    }
  }
  static Key key_of(const SessionEvent& event) { return {payload_of(*event.message), std::string(event.group)}; }

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
