// SqliteShard: one reactor's side of publisher_sqlite. It decides at once what has to wait for the disk, puts what has
// to get there into a parcel, and hands the parcel to the journal when the reactor has done its work; what the writer
// has to say comes back by Notices. Everything in it is touched on its own reactor's thread.
//
//   a PUBLISH of              is                                              and acknowledged
//   QoS 0, retained           routed and told of                              -
//   QoS 1 that nobody keeps   passed through                                  at once
//   QoS 1, else               routed                                          when it is on disk
//   QoS 2 that nobody keeps   passed through                                  at once
//   QoS 2, else               routed; QoS 2 deliveries held until it is on    when it is on disk
//                             disk, those to durable sessions alone where the
//                             publisher's session is not durable
// A topic that is `batched`, or everything, is routed and told of, and nobody waits; `memory` is passed through.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include <mqloop/publisher.h>

#include "plugins/publisher_sqlite/journal.h"
#include "plugins/publisher_sqlite/notices.h"
#include "plugins/publisher_sqlite/topic_rules.h"

namespace mqloop::publisher_sqlite {

class SqliteShard final : public PublisherShard, private Notices::Reader {
 public:
  SqliteShard(const TopicRules& rules, Journal& journal, Notices& notices, ReactorApi& reactor, PublishSink& sink);
  ~SqliteShard() override;

  void admit(PublishOp& request) override;
  void published(const SourceBlock& block) override;
  void recipients(const RecipientBlock& block) override;
  void subscribe(SubscribeOp& subscription) override;
  void unsubscribe(UnsubscribeOp& subscription) override;
  void session_event(SessionEvent& event) override;
  void delivery_event(DeliveryEvent& event) override;
  void retained_event(const RetainedEvent& event) override;
  void flush(std::uint64_t number) override;
  void end_turn() override;
  void drain(std::chrono::milliseconds deadline) override;

 private:
  void read(const Notices& notices) noexcept override;

  Parcel& parcel();
  void clear_returned() noexcept;
  // Whether what is no message is waited for: not where everything is `batched`.
  [[nodiscard]] bool wait() noexcept {
    if (is_batched_) return false;
    turn_waits_ = true;
    return true;
  }
  void add_recipient(const Recipient& recipient);
  void add_session(const SessionEvent& event);

  const TopicRules& rules_;
  Journal& journal_;
  Notices& notices_;
  ReactorApi& reactor_;
  PublishSink& sink_;
  const bool is_batched_;
  const bool has_rules_;
  std::unique_ptr<Parcel> parcel_;
  Journal::Parcels blank_;
  Journal::Parcels returned_;
  bool turn_waits_ = false;
  std::uint32_t acknowledged_early_ = 0;  // publishes of the turn for which nobody waits
  std::array<std::uint64_t, kMostReactors> complete_{};
  ReasonCode trouble_ = ReasonCode::kSuccess;
  bool full_ = false;
};

}  // namespace mqloop::publisher_sqlite
