#include "core/broker/publishing.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

Publishing::Publishing(Shard& shard, Publisher& publisher, unsigned reactors)
    : shard_(shard),
      publisher_(publisher),
      capabilities_(publisher.capabilities()),
      topics_(shard.routes(), shard.index()),
      boxes_(reactors) {}

Publishing::~Publishing() = default;

void Publishing::start(PublishSink& sink) {
  if (!passthrough()) publisher_shard_ = publisher_.make_shard(shard_.loop(), sink);
}

void Publishing::stop(std::chrono::milliseconds deadline) {
  do {
    end_turn();
    shard_.fan_outs().finish();
  } while (turn_is_open_);  // by members of shared groups that got what the blocks named
  if (publisher_shard_) publisher_shard_->drain(deadline);
  publisher_shard_.reset();
  waiting_.clear();
}

std::optional<ReasonCode> Publishing::publish(RoutedMessage& message, const PublishOrigin& origin) {
  if (passthrough()) return reason_for(route(message, 0, false), message);
  pending_.push_back({message.message(), origin, message.qos()});
  this_turn();
  return std::nullopt;
}

ReasonCode Publishing::reason_for(const Routed& routed, const RoutedMessage& message) const noexcept {
  if (routed.anybody() || capabilities_.remote) return ReasonCode::kSuccess;
  if (!message.retain()) shard_.counters().drop(DropCause::kNoSubscriber);
  if (message.qos() == QoS::kAtMostOnce) return ReasonCode::kSuccess;
  return ReasonCode::kNoMatchingSubscribers;
}

// Stores or clears the retained message of a PUBLISH with RETAIN 1; the sequence of the change, 0 for none.
std::uint64_t Publishing::keep_retained(RoutedMessage& message) {
  if (!message.retain() || !shard_.limits().retain.enabled) return 0;
  RetainedStore& store = shard_.retained();
  if (message.packet().payload.empty()) {
    const std::uint64_t sequence = store.clear(message.topic(), shard_.index()).sequence;
    note_retained(message, nullptr);
    return sequence;
  }
  const auto& limits = shard_.limits().retain;
  const bool full = limits.max_messages != 0 && store.count() >= limits.max_messages;
  const bool too_much = limits.max_bytes != 0 && store.bytes() + message.message()->footprint() > limits.max_bytes;
  if (full || too_much) {
    const bool is_new = !store.get(message.topic(), shard_.index()).message;
    if (is_new || too_much) {
      // Delivered as usual; a value that is older than this one would be wrong to keep.
      shard_.counters().drop(DropCause::kRetainLimit);
      return is_new ? 0 : store.clear(message.topic(), shard_.index()).sequence;
    }
  }
  note_retained(message, message.message().get());
  return store.store(message.message(), shard_.index()).sequence;
}

// The events of a turn borrow their messages, so the turn keeps them.
void Publishing::note_retained(RoutedMessage& message, const Message* value) {
  if (passthrough()) return;
  this_turn();
  routed_messages_.push_back(message.message());
  retained_events_.push_back({routed_messages_.back()->topic(), value});
}

Publishing::Routed Publishing::route(RoutedMessage& message, std::uint64_t sequence, bool hold) {
  return distribute(message, keep_retained(message), sequence, hold);
}

void Publishing::publish_own(RoutedMessage& message, std::uint64_t retained_sequence) {
  distribute(message, retained_sequence, 0, false);
}

Publishing::Routed Publishing::distribute(RoutedMessage& message, std::uint64_t retained_sequence,
                                          std::uint64_t sequence, bool hold) {
  const TopicCache::Match match = topics_.match(message.topic());
  Routed routed;
  const std::uint64_t own = std::uint64_t{1} << shard_.index();
  routed.remote = match.reactors & ~own;
  for (std::uint64_t rest = routed.remote; rest != 0; rest &= rest - 1) {
    const auto target = static_cast<std::uint32_t>(std::countr_zero(rest));
    find_filters(match, target);
    if (!boxes_[target]) {
      boxes_[target] = std::make_unique<OutBox>(shard_.peer(target), shard_.index(), shard_.credits().account(target));
    }
    shard_.credits().spend(target, boxes_[target]->add(message, filters_, retained_sequence, sequence, hold));
  }
  if (routed.remote != 0) shard_.loop().request_turn();
  if (sequence != 0) targets_ |= match.reactors;
  if ((match.reactors & own) == 0) return routed;
  find_filters(match, shard_.index());
  if (sequence == 0) {
    routed.matched = shard_.delivery().deliver(filters_, message, retained_sequence, nullptr);
  } else {
    RecipientNotes notes{own_block(), sequence, hold, false};
    routed.matched = shard_.delivery().deliver(filters_, message, retained_sequence, &notes);
  }
  return routed;
}

void Publishing::find_filters(const TopicCache::Match& match, std::uint32_t target) {
  filters_.clear();
  for (const RouteMatch& found : match.matches) {
    if ((found.reactors >> target & 1) != 0) filters_.push_back(found.filter);
  }
}

void Publishing::deliver_foreign(Ref<const Message> message) {
  RoutedMessage routed(std::move(message));
  route(routed, 0, false);
}

void Publishing::receive(const OutBox& box) {
  std::unique_ptr<TargetBlock> block;
  if (box.turn() != 0 && publisher_shard_) block = std::make_unique<TargetBlock>(TurnId{box.source(), box.turn()});
  // A block with a fan-out is given late, and all that it names is sent after it.
  const bool in_slices = block && std::any_of(box.items().begin(), box.items().end(), [&](const OutBox::Item& item) {
                           return shard_.delivery().is_for_fan_outs(box.filters_of(item), box.message_of(item));
                         });
  for (const OutBox::Item& item : box.items()) {
    RoutedMessage message = box.message_of(item);
    if (item.sequence == 0 || !block) {  // not one that the publisher was asked about, or it has gone
      shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, nullptr);
      continue;
    }
    RecipientNotes notes{*block, item.sequence, item.hold, in_slices};
    shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, &notes);
  }
  if (!block) return;
  if (block->fan_outs != 0) {
    unfinished_.push_back(std::move(block));
    return;
  }
  give(*block);
  block_is_given(*block);
}

// ---- what follows is for publishers that are not passthrough -------------------------------------------------------

std::uint64_t Publishing::this_turn() {
  if (!turn_is_open_) {
    turn_is_open_ = true;
    ++turn_;
    shard_.loop().request_turn();
  }
  return turn_;
}

// A fan-out in slices has a turn of its own, because the block with it is given late: nothing else is to wait for that,
// nor to have been sent before.
void Publishing::settle() {
  if (pending_.empty()) return;
  const std::vector<Pending> pending = std::exchange(pending_, {});
  for (std::span<const Pending> rest = pending; !rest.empty();) {
    const auto first =
        std::find_if(rest.begin(), rest.end(), [this](const Pending& one) { return is_for_fan_outs(one); });
    const auto ordinary = static_cast<std::size_t>(first - rest.begin());
    const std::size_t count = std::max<std::size_t>(1, ordinary);
    const bool after_fan_out = own_block_ && own_block_->fan_outs != 0;
    const bool after_others = own_block_ && !own_block_->recipients.empty();
    if (after_fan_out || (ordinary == 0 && after_others)) next_turn();
    admit_and_route(rest.first(count));
    rest = rest.subspan(count);
  }
}

bool Publishing::is_for_fan_outs(const Pending& publish) {
  const RoutedMessage message(publish.message);
  find_filters(topics_.match(message.topic()), shard_.index());
  return shard_.delivery().is_for_fan_outs(filters_, message);
}

void Publishing::next_turn() {
  give_blocks();
  post_boxes();
  this_turn();
}

void Publishing::drop_of(const PublishOrigin& origin, DropCause cause) {
  Session* session = origin.session == 0 ? nullptr : shard_.sessions().at(origin.session_slot, origin.session);
  if (session != nullptr) {
    shard_.drop(*session, cause);
  } else {
    shard_.counters().drop(cause);
  }
}

void Publishing::admit_and_route(std::span<const Pending> pending) {
  ops_.clear();
  for (const Pending& publish : pending) {
    PublishOp& op = ops_.emplace_back();
    op.sequence = ++sequence_;
    op.message = publish.message.get();
    op.session = publish.origin.session;
    op.session_is_durable = publish.origin.session_is_durable;
    op.packet_id = publish.origin.packet_id;
  }
  publisher_shard_->admit(ops_);
  for (std::size_t i = 0; i != ops_.size(); ++i) {
    const PublishOp& op = ops_[i];
    ReasonCode reason = op.reason;
    if (op.admission == Admission::kDiscard) {
      drop_of(pending[i].origin, DropCause::kPublisher);
    } else {
      RoutedMessage message(pending[i].message);
      reason = reason_for(route(message, op.sequence, op.admission == Admission::kHoldUntilComplete), message);
      routed_ops_.push_back(op);
      routed_messages_.push_back(pending[i].message);
    }
    if (pending[i].qos == QoS::kAtMostOnce || pending[i].origin.session == 0) continue;
    const bool later = op.admission == Admission::kRouteAndAckLater || op.admission == Admission::kHoldUntilComplete;
    WaitingAck ack{turn_,
                   pending[i].origin,
                   pending[i].qos == QoS::kAtLeastOnce ? mqtt::PacketType::kPuback : mqtt::PacketType::kPubrec,
                   reason,
                   {}};
    // Acknowledgements leave in arrival order: one that need not wait still waits for those before it.
    if (later || !waiting_.empty()) {
      waiting_.push_back(std::move(ack));
    } else {
      acknowledge(ack);
    }
  }
}

void Publishing::end_turn() {
  if (turn_is_open_ && publisher_shard_) {
    settle();
    give_blocks();
  }
  post_boxes();
}

void Publishing::post_boxes() {
  for (std::uint32_t target = 0; target != boxes_.size(); ++target) {
    if (boxes_[target] && !boxes_[target]->empty()) shard_.peer(target).loop().post(std::move(boxes_[target]));
  }
}

void Publishing::give_blocks() {
  const TurnId turn{shard_.index(), turn_};
  turn_is_open_ = false;
  if (!retained_events_.empty()) publisher_shard_->retained_events(retained_events_);
  publisher_shard_->published({turn, routed_ops_, targets_});
  for (std::uint64_t rest = targets_ & ~(std::uint64_t{1} << shard_.index()); rest != 0; rest &= rest - 1) {
    boxes_[static_cast<std::size_t>(std::countr_zero(rest))]->set_turn(turn_);
  }
  std::unique_ptr<TargetBlock> own;
  if ((targets_ >> shard_.index() & 1) != 0) own = std::move(own_block_);
  if (own && own->fan_outs == 0) give(*own);
  publisher_shard_->flush(turn_);
  targets_ = 0;
  retained_events_.clear();
  routed_ops_.clear();
  routed_messages_.clear();
  if (!own) return;
  if (own->fan_outs != 0) {
    unfinished_.push_back(std::move(own));
    return;
  }
  block_is_given(*own);
  if (own_block_) return;
  own->clear();
  own_block_ = std::move(own);  // for its memory
}

TargetBlock& Publishing::own_block() {
  const TurnId turn{shard_.index(), turn_};
  if (!own_block_) own_block_ = std::make_unique<TargetBlock>(turn);
  own_block_->turn = turn;
  return *own_block_;
}

void Publishing::fan_out_done(TargetBlock& block) {
  if (--block.fan_outs != 0) return;
  const auto found =
      std::find_if(unfinished_.begin(), unfinished_.end(), [&](const auto& one) { return one.get() == &block; });
  if (found == unfinished_.end()) return;  // its turn is not over
  const std::unique_ptr<TargetBlock> finished = std::move(*found);
  unfinished_.erase(found);
  give(*finished);
  block_is_given(*finished);
}

void Publishing::give(TargetBlock& block) {
  if (!block.ended.empty()) {
    std::erase_if(block.recipients, [&block](const Recipient& recipient) {
      return std::find(block.ended.begin(), block.ended.end(), recipient.session) != block.ended.end();
    });
  }
  publisher_shard_->recipients({block.turn, shard_.index(), block.recipients});
}

void Publishing::block_is_given(TargetBlock& block) {
  shard_.shared_groups().given(block.turn);
  shard_.delivery().release(std::exchange(block.unsent, {}));
}

void Publishing::complete_through(std::uint32_t source, std::uint64_t number) {
  if (source == shard_.index()) {
    while (!waiting_.empty() && waiting_.front().turn <= number) {
      const WaitingAck ack = std::move(waiting_.front());
      waiting_.pop_front();
      acknowledge(ack);
    }
  }
  shard_.delivery().release(source, number);
  shard_.shared_groups().release(source, number);
}

void Publishing::acknowledge(const WaitingAck& ack) {
  Connection* connection = shard_.find(ack.origin.connection);
  if (ack.type == mqtt::PacketType::kReserved) {
    if (connection != nullptr) connection->send_bytes(ack.bytes);
    return;
  }
  if (ack.type == mqtt::PacketType::kPuback) {
    if (connection != nullptr) connection->publish_acknowledged(ack.type, ack.origin.packet_id, ack.reason);
    return;
  }
  acknowledge_qos2(ack);
}

// The state of QoS 2 belongs to the session: it moves on although the connection may be another one by now. PUBREC
// answers a PUBLISH of the same connection only; a client that came back sends its PUBLISH again.
void Publishing::acknowledge_qos2(const WaitingAck& ack) {
  Session* session = shard_.sessions().at(ack.origin.session_slot, ack.origin.session);
  if (session == nullptr) return;
  Connection* connection = session->connection();
  const std::uint16_t packet_id = ack.origin.packet_id;
  const ProtocolVersion version = connection != nullptr ? connection->version() : ProtocolVersion::kV5;
  const mqtt::ReceiverEvent event =
      is_error(ack.reason) ? mqtt::ReceiverEvent::kRefused : mqtt::ReceiverEvent::kAccepted;
  (void)session->received().on(event, packet_id, version);
  if (connection == nullptr || connection->handle() != ack.origin.connection) return;
  // The first of two answers may have refused it; the second then says so too.
  const bool refused_before =
      session->received().state(packet_id) == mqtt::ReceiverState::kFree && !is_error(ack.reason);
  connection->publish_acknowledged(ack.type, packet_id, refused_before ? ReasonCode::kUnspecifiedError : ack.reason);
}

void Publishing::acknowledge_again(const PublishOrigin& origin) {
  const std::uint64_t turn = waiting_.empty() ? turn_ : waiting_.back().turn;
  waiting_.push_back({turn, origin, mqtt::PacketType::kPubrec, ReasonCode::kSuccess, {}});
}

void Publishing::subscribe(SubscribeOp& op) {
  op.verdict = static_cast<ReasonCode>(op.qos);
  if (passthrough()) return;
  this_turn();
  publisher_shard_->subscribe({&op, 1});
}

void Publishing::unsubscribe(UnsubscribeOp& op) {
  if (passthrough()) return;
  this_turn();
  publisher_shard_->unsubscribe({&op, 1});
}

void Publishing::session_event(SessionEventKind kind, const Session& session, std::uint16_t packet_id,
                               const Message* message, std::string_view group) {
  if (passthrough()) return;
  if (kind == SessionEventKind::kEnded) {
    if (own_block_ && !own_block_->recipients.empty()) own_block_->ended.push_back(session.number());
    for (const auto& block : unfinished_) block->ended.push_back(session.number());
  }
  tell({kind, session.number(), session.client_id(), session.is_durable(), session.expiry_interval(), packet_id,
        message, group});
}

void Publishing::tell(const SessionEvent& event) {
  if (!publisher_shard_) return;
  this_turn();
  publisher_shard_->session_events({&event, 1});
}

void Publishing::delivered(Session& session, const OutboundEntry& entry) {
  if (passthrough()) return;
  const std::string_view group =
      entry.share == 0 ? std::string_view() : (*session.shared())[entry.share - 1].name->text();
  session_event(SessionEventKind::kDelivered, session, entry.packet_id, entry.message.get(), group);
}

void Publishing::returned(Session& session, const OutboundEntry& entry) {
  if (passthrough()) return;
  session_event(SessionEventKind::kReturned, session, entry.packet_id, entry.message.get(),
                (*session.shared())[entry.share - 1].name->text());
}

void Publishing::group_done(std::string_view group, const Message& message) {
  if (passthrough() || message.qos() == QoS::kAtMostOnce) return;
  SessionEvent event;
  event.kind = SessionEventKind::kGroupDone;
  event.message = &message;
  event.group = group;
  tell(event);
}

void Publishing::send_when_complete(ConnectionHandle connection, std::vector<std::uint8_t> bytes) {
  PublishOrigin origin;
  origin.connection = connection;
  waiting_.push_back({this_turn(), origin, mqtt::PacketType::kReserved, ReasonCode::kSuccess, std::move(bytes)});
}

}  // namespace mqloop::broker
