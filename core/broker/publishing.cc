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
  end_turn();
  while (turn_is_open_) end_turn();  // members of shared groups that got what the blocks named
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
    filters_.clear();
    for (const RouteMatch& found : match.matches) {
      if ((found.reactors >> target & 1) != 0) filters_.push_back(found.filter);
    }
    if (!boxes_[target]) {
      boxes_[target] = std::make_unique<OutBox>(shard_.peer(target), shard_.index(), shard_.credits().account(target));
    }
    shard_.credits().spend(target, boxes_[target]->add(message.message(), filters_, retained_sequence, sequence, hold));
  }
  if (routed.remote != 0) shard_.loop().request_turn();
  if (sequence != 0) targets_ |= match.reactors;
  if ((match.reactors & own) == 0) return routed;
  filters_.clear();
  for (const RouteMatch& found : match.matches) {
    if ((found.reactors & own) != 0) filters_.push_back(found.filter);
  }
  if (sequence == 0) {
    routed.matched = shard_.delivery().deliver(filters_, message, retained_sequence, nullptr);
  } else {
    RecipientNotes notes{{shard_.index(), turn_}, sequence, hold, recipients_};
    routed.matched = shard_.delivery().deliver(filters_, message, retained_sequence, &notes);
  }
  return routed;
}

void Publishing::deliver_foreign(Ref<const Message> message) {
  RoutedMessage routed(std::move(message));
  route(routed, 0, false);
}

// Many sessions here would take and drop references to a message while those of its source do so on another core: that
// costs more than a copy of a small one for this reactor.
bool Publishing::is_for_many(const OutBox& box, const OutBox::Item& item) const noexcept {
  constexpr std::size_t kMany = 16;
  if (item.message->payload().size() >= PublishWriter::kReferenceFrom) return false;
  std::size_t sessions = 0;
  for (const FilterId filter : box.filters_of(item)) sessions += shard_.subscribers().subscribers(filter).size();
  return sessions >= kMany;
}

void Publishing::receive(OutBox& box) {
  std::vector<Recipient> recipients;
  for (const OutBox::Item& item : box.items()) {
    if (item.sequence == 0 && is_for_many(box, item)) {
      RoutedMessage message(RoutedMessage::Apart{*item.message});
      shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, nullptr);
      continue;
    }
    RoutedMessage message(item.message);
    if (item.sequence == 0) {  // not one that the publisher was asked about
      shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, nullptr);
      continue;
    }
    RecipientNotes notes{{box.source(), box.turn()}, item.sequence, item.hold, recipients};
    shard_.delivery().deliver(box.filters_of(item), message, item.retained_sequence, &notes);
  }
  if (box.turn() != 0 && publisher_shard_) {
    publisher_shard_->recipients({{box.source(), box.turn()}, shard_.index(), recipients});
  }
  shard_.shared_groups().given(box.source());
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

void Publishing::settle() {
  if (!pending_.empty()) admit_and_route();
}

void Publishing::drop_of(const PublishOrigin& origin, DropCause cause) {
  Session* session = origin.session == 0 ? nullptr : shard_.sessions().at(origin.session_slot, origin.session);
  if (session != nullptr) {
    shard_.drop(*session, cause);
  } else {
    shard_.counters().drop(cause);
  }
}

void Publishing::admit_and_route() {
  std::vector<Pending> pending = std::exchange(pending_, {});
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
  // Of a session that has ended since nothing is wanted any more.
  if (!ended_.empty()) {
    std::erase_if(recipients_, [this](const Recipient& recipient) {
      return std::find(ended_.begin(), ended_.end(), recipient.session) != ended_.end();
    });
  }
  if ((targets_ >> shard_.index() & 1) != 0) publisher_shard_->recipients({turn, shard_.index(), recipients_});
  publisher_shard_->flush(turn_);
  targets_ = 0;
  recipients_.clear();
  ended_.clear();
  retained_events_.clear();
  routed_ops_.clear();
  routed_messages_.clear();
  shard_.shared_groups().given(shard_.index());
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
  if (kind == SessionEventKind::kEnded && !recipients_.empty()) ended_.push_back(session.number());
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
