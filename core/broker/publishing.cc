#include "core/broker/publishing.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/base/failpoint.h"
#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// Message::number() and the like: so many reactors draw from one range, each its own.
constexpr std::uint64_t kReactors = kMostReactors;
static_assert(kReactors == RouteTable::kMaxReactors);

}  // namespace

Publishing::Publishing(Shard& shard, Publisher& publisher, unsigned reactors)
    : shard_(shard),
      publisher_(publisher),
      capabilities_(publisher.capabilities()),
      topics_(shard.routes(), shard.index()),
      boxes_(reactors),
      unsettled_(shard.directory(), shard.index()) {}

Publishing::~Publishing() = default;

void Publishing::start_above(const RecoveredNumbers& numbers) noexcept {
  messages_ = numbers.message / kReactors + 1;
  deliveries_ = numbers.delivery;
}

void Publishing::start(PublishSink& sink) {
  if (!passthrough()) publisher_shard_ = publisher_.make_shard(shard_.loop(), sink);
}

void Publishing::stop(std::chrono::milliseconds deadline) {
  do {
    end_turn();
    shard_.fan_outs().finish();
  } while (turn_is_open_);  // by members of shared groups that got what the blocks named
  end_turn();
  if (publisher_shard_) publisher_shard_->drain(deadline);
  publisher_shard_.reset();
  waiting_.clear();
  unsettled_.clear();
}

std::optional<ReasonCode> Publishing::publish(RoutedMessage& message, const PublishOrigin& origin) {
  const bool asks = publisher_shard_ && (message.qos() != QoS::kAtMostOnce || !capabilities_.durable_only);
  if (asks) return publish_asking(message, origin);
  return reason_for(route(message, topics_.match(message.topic()), {}), message);
}

std::optional<ReasonCode> Publishing::publish_asking(RoutedMessage& message, const PublishOrigin& origin) {
  TopicCache::Match match = topics_.match(message.topic());
  PublishOp request;
  request.topic = message.topic();
  request.payload = message.packet().payload;
  request.qos = message.qos();
  request.retain = message.retain() && shard_.limits().retain.enabled;
  request.durable_recipients = match.durable;
  request.session = origin.session;
  request.session_is_durable = origin.session_is_durable;
  request.packet_id = origin.packet_id;
  publisher_shard_->admit(request);
  ReasonCode reason = request.reason;
  bool later = false;
  if (request.admission == Admission::kDiscard) {
    drop_of(origin, DropCause::kPublisher);
  } else if (request.admission == Admission::kPassThrough) {
    reason = reason_for(route(message, match, {}), message);
  } else {
    if (needs_turn_of_its_own(match, message)) {
      next_turn();
      match = topics_.match(message.topic());
    }
    later = request.ack_later;
    this_turn();
    message.set_number(++messages_ * kReactors + shard_.index());
    reason = reason_for(route(message, match, {true, request.hold}), message);
    published_messages_.push_back(message.message());
    published_.push_back(
        {published_messages_.back().get(), origin.session, origin.session_is_durable, origin.packet_id});
  }
  if (message.qos() == QoS::kAtMostOnce || origin.session == 0) return reason;
  if (!later) {
    const Connection* connection = waiting_.empty() ? nullptr : shard_.find(origin.connection);
    if (connection == nullptr || connection->waiting_answers == 0) return reason;
  }
  wait({later ? turn_ : awaited_turn(),
        origin,
        message.qos() == QoS::kAtLeastOnce ? mqtt::PacketType::kPuback : mqtt::PacketType::kPubrec,
        reason,
        {}});
  return std::nullopt;
}

bool Publishing::needs_publisher(std::string_view topic, QoS qos, bool retain, const Session& session) {
  if (!publisher_shard_ || qos == QoS::kAtMostOnce) return false;
  if (!capabilities_.durable_only || retain) return true;
  return (qos == QoS::kExactlyOnce && session.is_kept()) || topics_.match(topic).durable;
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
  const auto clear = [&] {
    return retained_changed(message, nullptr, store.clear(message.topic(), shard_.index()).sequence);
  };
  if (message.packet().payload.empty()) return clear();
  const auto& limits = shard_.limits().retain;
  const bool full = limits.max_messages != 0 && store.count() >= limits.max_messages;
  const bool too_much = limits.max_bytes != 0 && store.bytes() + message.message()->footprint() > limits.max_bytes;
  if (full || too_much) {
    const bool is_new = !store.get(message.topic(), shard_.index()).message;
    if (is_new || too_much) {
      // Delivered as usual; a value that is older than this one would be wrong to keep.
      shard_.counters().drop(DropCause::kRetainLimit);
      return is_new ? 0 : clear();
    }
  }
  return retained_changed(message, message.message().get(), store.store(message.message(), shard_.index()).sequence);
}

std::uint64_t Publishing::retained_changed(RoutedMessage& message, const Message* value, std::uint64_t sequence) {
  if (publisher_shard_) {
    this_turn();
    publisher_shard_->retained_event({message.topic(), value, sequence});
    MQLOOP_FAILPOINT("retained");
  }
  return sequence;
}

Publishing::Routed Publishing::route(RoutedMessage& message, const TopicCache::Match& match, Terms terms) {
  return distribute(message, match, keep_retained(message), terms);
}

void Publishing::publish_own(RoutedMessage& message, std::uint64_t retained_sequence) {
  distribute(message, topics_.match(message.topic()), retained_sequence, {});
}

Publishing::Routed Publishing::distribute(RoutedMessage& message, const TopicCache::Match& match,
                                          std::uint64_t retained_sequence, Terms terms) {
  Routed routed;
  const std::uint64_t own = std::uint64_t{1} << shard_.index();
  routed.remote = match.reactors & ~own;
  for (std::uint64_t rest = routed.remote; rest != 0; rest &= rest - 1) {
    const auto target = static_cast<std::uint32_t>(std::countr_zero(rest));
    find_filters(match, target);
    if (!boxes_[target]) {
      boxes_[target] = std::make_unique<OutBox>(shard_.peer(target), shard_.index(), shard_.credits().account(target));
    }
    shard_.credits().spend(target, boxes_[target]->add(message, filters_, retained_sequence, terms.noted, terms.hold));
  }
  if (routed.remote != 0) shard_.loop().request_turn();
  if (terms.noted) targets_ |= match.reactors;
  if ((match.reactors & own) == 0) return routed;
  find_filters(match, shard_.index());
  if (terms.noted) {
    RecipientNotes notes{own_block(), terms.hold, false};
    routed.matched = shard_.delivery().deliver(filters_, message, retained_sequence, &notes);
  } else {
    routed.matched = shard_.delivery().deliver(filters_, message, retained_sequence, nullptr);
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
  route(routed, topics_.match(routed.topic()), {});
}

void Publishing::receive(const OutBox& box) {
  std::unique_ptr<TargetBlock> block;
  if (box.turn() != 0 && publisher_shard_) block = std::make_unique<TargetBlock>(TurnId{box.source(), box.turn()});
  // A block with a fan-out is given late, and all that it names is sent after it. One that is not noted counts as well:
  // others may have to stay behind it.
  const bool in_slices = block && std::any_of(box.items().begin(), box.items().end(), [&](const OutBox::Item& item) {
                           return shard_.delivery().is_for_fan_outs(box.filters_of(item), box.message_of(item));
                         });
  receiving_ = block.get();
  for (const OutBox::Item& item : box.items()) {
    RoutedMessage message = box.message_of(item);
    if (!item.noted || !block) {  // not one that the publisher was asked about, or it has gone
      shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, nullptr);
      continue;
    }
    RecipientNotes notes{*block, item.hold, in_slices};
    shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, &notes);
  }
  receiving_ = nullptr;
  if (!block) return;
  if (block->fan_outs != 0) {
    unfinished_.push_back(std::move(block));
    return;
  }
  give(*block);
  shard_.loop().request_turn();  // for the publisher's end_turn()
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
bool Publishing::needs_turn_of_its_own(const TopicCache::Match& match, const RoutedMessage& message) {
  if ((targets_ >> shard_.index() & 1) == 0) return false;
  if (own_block_->fan_outs != 0) return true;
  find_filters(match, shard_.index());
  return shard_.delivery().is_for_fan_outs(filters_, message);
}

void Publishing::next_turn() {
  give_blocks();
  post_boxes();
  this_turn();
}

void Publishing::give_noted() {
  if (own_block_ && !own_block_->recipients.empty()) next_turn();
}

void Publishing::drop_of(const PublishOrigin& origin, DropCause cause) {
  Session* session = origin.session == 0 ? nullptr : shard_.sessions().at(origin.session_slot, origin.session);
  if (session != nullptr) {
    shard_.drop(*session, cause);
  } else {
    shard_.counters().drop(cause);
  }
}

void Publishing::end_turn() {
  if (turn_is_open_ && publisher_shard_) give_blocks();
  post_boxes();
  if (!has_given_ || !publisher_shard_) return;
  has_given_ = false;
  publisher_shard_->end_turn();
}

void Publishing::post_boxes() {
  for (std::uint32_t target = 0; target != boxes_.size(); ++target) {
    if (boxes_[target] && !boxes_[target]->empty()) shard_.peer(target).loop().post(std::move(boxes_[target]));
  }
}

void Publishing::give_blocks() {
  const TurnId turn{shard_.index(), turn_};
  turn_is_open_ = false;
  has_given_ = true;
  publisher_shard_->published({turn, published_, targets_});
  for (std::uint64_t rest = targets_ & ~(std::uint64_t{1} << shard_.index()); rest != 0; rest &= rest - 1) {
    boxes_[static_cast<std::size_t>(std::countr_zero(rest))]->set_turn(turn_);
  }
  std::unique_ptr<TargetBlock> own;
  if ((targets_ >> shard_.index() & 1) != 0) own = std::move(own_block_);
  if (own && own->fan_outs == 0) give(*own);
  publisher_shard_->flush(turn_);
  given_deliveries_ = deliveries_;
  targets_ = 0;
  published_.clear();
  published_messages_.clear();
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

std::optional<RecipientNotes> Publishing::notes_of_replay(const RoutedMessage& message, QoS qos,
                                                          const Session& session) {
  if (!publisher_shard_ || qos == QoS::kAtMostOnce || message.number() == 0 || !session.is_kept()) return std::nullopt;
  if (own_block_ && own_block_->fan_outs != 0) next_turn();  // whose block is given late
  this_turn();
  targets_ |= std::uint64_t{1} << shard_.index();
  return RecipientNotes{own_block(), capabilities_.durable ? Hold::kDurableExactlyOnce : Hold::kNothing, false};
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
  std::erase_if(block.recipients, [&block](const Recipient& recipient) {
    if (recipient.session == 0) return recipient.group.empty();
    return std::find(block.ended.begin(), block.ended.end(), recipient.session) != block.ended.end();
  });
  if (!publisher_shard_) return;
  publisher_shard_->recipients({block.turn, shard_.index(), block.recipients});
  has_given_ = true;
}

void Publishing::block_is_given(TargetBlock& block) {
  shard_.shared_groups().given(block.turn);
  shard_.delivery().release(std::exchange(block.unsent, {}));
}

void Publishing::complete_through(std::uint32_t source, std::uint64_t number) {
  if (source == shard_.index()) {
    unsettled_.complete_through(number);
    while (!waiting_.empty() && waiting_.front().turn <= number) {
      const WaitingAck ack = std::move(waiting_.front());
      waiting_.pop_front();
      acknowledge(ack);
    }
  }
  shard_.delivery().release(source, number);
  shard_.shared_groups().release(source, number);
}

// ---- what clients wait for

void Publishing::wait(WaitingAck ack) {
  if (Connection* connection = shard_.find(ack.origin.connection)) ++connection->waiting_answers;
  waiting_.push_back(std::move(ack));
}

void Publishing::acknowledge(const WaitingAck& ack) {
  Connection* connection = shard_.find(ack.origin.connection);
  if (connection != nullptr) --connection->waiting_answers;
  switch (ack.type) {
    case mqtt::PacketType::kPuback:
      if (connection != nullptr) connection->publish_acknowledged(ack.type, ack.origin.packet_id, ack.reason);
      return;
    case mqtt::PacketType::kPubrec:
      return acknowledge_qos2(ack);
    case mqtt::PacketType::kPubcomp:
      return release(ack);
    case mqtt::PacketType::kConnack:
      if (connection != nullptr) connection->session_stands();
      return;
    default:
      if (connection != nullptr) connection->send_bytes(ack.bytes);
  }
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

// The identifier of a QoS 2 PUBLISH is free again. PUBCOMP answers a PUBREL of the same connection only.
void Publishing::release(const WaitingAck& ack) {
  Session* session = shard_.sessions().at(ack.origin.session_slot, ack.origin.session);
  if (session == nullptr) return;
  const std::uint16_t packet_id = ack.origin.packet_id;
  const bool first = session->received().state(packet_id) == mqtt::ReceiverState::kReleasing;
  (void)session->received().on(mqtt::ReceiverEvent::kReleased, packet_id, ProtocolVersion::kV5);
  Connection* connection = session->connection();
  if (connection == nullptr || connection->handle() != ack.origin.connection) return;
  connection->publish_released(packet_id, ack.reason, first);
}

void Publishing::acknowledge_again(const PublishOrigin& origin) {
  wait({awaited_turn(), origin, mqtt::PacketType::kPubrec, ReasonCode::kSuccess, {}});
}

void Publishing::answer(Connection& connection, mqtt::PacketType type, std::uint16_t packet_id, ReasonCode reason,
                        bool later) {
  const Session& session = *connection.session();
  WaitingAck ack{later ? turn_ : awaited_turn(),
                 {connection.handle(), session.slot(), session.number(), session.is_kept(), packet_id},
                 type,
                 reason,
                 {}};
  ++connection.waiting_answers;
  if (later || connection.waiting_answers != 1) {
    waiting_.push_back(std::move(ack));
  } else {
    acknowledge(ack);
  }
}

void Publishing::send_when_complete(ConnectionHandle connection, std::vector<std::uint8_t> bytes) {
  PublishOrigin origin;
  origin.connection = connection;
  wait({this_turn(), origin, mqtt::PacketType::kReserved, ReasonCode::kSuccess, std::move(bytes)});
}

void Publishing::send_behind(ConnectionHandle connection, std::vector<std::uint8_t> bytes) {
  PublishOrigin origin;
  origin.connection = connection;
  wait({awaited_turn(), origin, mqtt::PacketType::kReserved, ReasonCode::kSuccess, std::move(bytes)});
}

void Publishing::open_when_complete(ConnectionHandle connection) {
  PublishOrigin origin;
  origin.connection = connection;
  wait({this_turn(), origin, mqtt::PacketType::kConnack, ReasonCode::kSuccess, {}});
}

// ---- what the publisher is told

void Publishing::subscribe(SubscribeOp& op) {
  op.verdict = static_cast<ReasonCode>(op.qos);
  if (!publisher_shard_ || !keeps_session(op.session_is_durable)) return;
  this_turn();
  publisher_shard_->subscribe(op);
}

void Publishing::unsubscribe(UnsubscribeOp& op) {
  if (!publisher_shard_ || !keeps_session(op.session_is_durable)) return;
  this_turn();
  publisher_shard_->unsubscribe(op);
}

bool Publishing::session_event(SessionEventKind kind, const Session& session, std::uint16_t packet_id) {
  if (!publisher_shard_ || !session.is_kept()) return false;
  if (kind == SessionEventKind::kEnded) {
    if (own_block_ && !own_block_->recipients.empty()) own_block_->ended.push_back(session.number());
    for (const auto& block : unfinished_) block->ended.push_back(session.number());
  }
  SessionState state;
  state.number = session.number();
  state.client_id = session.client_id();
  state.has_user_name = session.identity().has_user_name;
  state.user_name = session.identity().user_name;
  state.expiry_interval = session.expiry_interval();
  state.connected = session.connection() != nullptr && kind != SessionEventKind::kDisconnected;
  state.principal = session.principal().get();
  WillState will;
  if (const StoredWill* stored = session.will().get(); stored != nullptr) {
    will = {stored->message.get(), stored->delay_interval, stored->message_expiry_interval};
    state.will = &will;
  }
  this_turn();
  SessionEvent event{kind, state, packet_id};
  publisher_shard_->session_event(event);
  const bool begins_or_ends = kind == SessionEventKind::kCreated || kind == SessionEventKind::kEnded;
  if (begins_or_ends && event.ack_later) unsettled_.add(session, turn_);
  return event.ack_later;
}

bool Publishing::delivery_event(DeliveryEventKind kind, const Session& session, const OutboundEntry& entry) {
  if (!publisher_shard_ || !entry.kept || !session.is_kept()) return false;
  if (entry.delivery > given_deliveries_ || receiving_ != nullptr || (entry.held && !unfinished_.empty())) {
    if (Recipient* recipient = find_ungiven(session, entry); recipient != nullptr) {
      ungiven_delivery(kind, *recipient, entry);
      return false;
    }
  }
  this_turn();
  DeliveryEvent event;
  event.kind = kind;
  event.delivery = session.recipient(entry);
  publisher_shard_->delivery_event(event);
  return event.ack_later;
}

// What the publisher has not heard of yet, because the block with it is still to be given.
Recipient* Publishing::find_ungiven(const Session& session, const OutboundEntry& entry) noexcept {
  const auto find_in = [&](TargetBlock& block) -> Recipient* {
    for (std::size_t i = block.recipients.size(); i != 0; --i) {
      Recipient& recipient = block.recipients[i - 1];
      if (recipient.session == session.number() && recipient.delivery == entry.delivery) return &recipient;
    }
    return nullptr;
  };
  if (own_block_ && entry.delivery > given_deliveries_) {
    if (Recipient* recipient = find_in(*own_block_)) return recipient;
  }
  if (receiving_ != nullptr) {
    if (Recipient* recipient = find_in(*receiving_)) return recipient;
  }
  if (!entry.held) return nullptr;
  for (const auto& block : unfinished_) {
    if (Recipient* recipient = find_in(*block)) return recipient;
  }
  return nullptr;
}

// The block tells of it as it is by then, or not at all.
void Publishing::ungiven_delivery(DeliveryEventKind kind, Recipient& recipient, const OutboundEntry& entry) noexcept {
  if (kind == DeliveryEventKind::kDelivered) {
    recipient.packet_id = entry.packet_id;
  } else {
    recipient.session = 0;
  }
}

void Publishing::group_done(std::string_view group, const Message& message) {
  if (!publisher_shard_ || message.number() == 0 || message.qos() == QoS::kAtMostOnce) return;
  this_turn();
  DeliveryEvent event;
  event.kind = DeliveryEventKind::kGroupDone;
  event.delivery.message = &message;
  event.delivery.qos = message.qos();
  event.delivery.group = group;
  publisher_shard_->delivery_event(event);
}

}  // namespace mqloop::broker
