#include "core/broker/session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "core/broker/shard.h"
#include "core/mqtt/topic.h"

namespace mqloop::broker {

// Filters of a session that ends which are taken out of the RouteTable together: some holds of its mutexes.
constexpr std::size_t kFiltersPerRemoval = 256;
// Messages of a queue that go with it, not one by one.
constexpr std::size_t kQueuedAtOnce = 64;

std::uint64_t key_of(FilterId filter) noexcept { return std::uint64_t{filter.slot} << 32 | filter.generation; }

// See connection.cc.
static_assert(sizeof(Session) <= 256);

struct Session::Absence {
  explicit Absence(Session& session) : expiry(session), will_delay(session) {}
  event::MemberTimer<Session, &Session::on_expiry> expiry;
  event::MemberTimer<Session, &Session::on_will_delay> will_delay;
};

std::uint32_t longest_session_expiry(const LimitsSettings& limits) noexcept {
  const std::chrono::milliseconds longest = limits.session.max_expiry_interval;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(longest).count();
  return longest == kInfinite || seconds >= kExpiryNever ? kExpiryNever : static_cast<std::uint32_t>(seconds);
}

Session::Session(Shard& shard, std::uint64_t number, std::string_view client_id, Identity identity)
    : shard_(shard),
      number_(number),
      client_key_(shard.client_key(client_id)),
      client_id_(client_id),
      identity_(std::move(identity)) {}

Session::~Session() = default;

const LimitsSettings& Session::limits() const noexcept {
  return listener_ == nullptr ? shard_.limits() : limits_of(shard_.settings(), *listener_);
}

void Session::connected(Connection& connection, const ListenerSettings& listener) noexcept {
  if (connection_ == nullptr) shard_.counters().clients_connected.add();
  connection_ = &connection;
  listener_ = &listener;
  absence_.reset();
}

void Session::end() noexcept {
  has_ended_ = true;
  if (absence_) {
    absence_->expiry.stop();
    absence_->will_delay.stop();
  }
  received_.clear();
  replays_.reset();
  shard_.counters().subscriptions.subtract(filters_.size());
}

bool Session::clear_some(FilterBudget& budget) {
  while (!filters_.empty()) {
    std::size_t count = 0;
    while (count != std::min(filters_.size(), kFiltersPerRemoval) && budget.take(FilterBudget::kOneToRemove)) ++count;
    if (count == 0) return false;
    unsubscribe_last(count);
  }
  while (outbound_ && outbound_->queued() > kQueuedAtOnce) {
    if (!budget.take(1)) return false;
    outbound_->drop_next();
  }
  outbound_.reset();
  return true;
}

void Session::disconnected() noexcept {
  if (connection_ != nullptr) shard_.counters().clients_connected.subtract();
  connection_ = nullptr;
  if (is_durable()) away(std::chrono::seconds(expiry_interval_));  // else it is about to end
}

void Session::away(std::chrono::seconds remaining) noexcept {
  const bool expires = expiry_interval_ != kExpiryNever;
  if (!expires && !will_) return;
  absence_ = std::make_unique<Absence>(*this);
  event::TimerWheel& timers = shard_.loop().timers();
  // The clock drops what is less than a millisecond: with one more, nothing comes a moment early.
  const MonotonicTime now = shard_.loop().now() + std::chrono::milliseconds(1);
  if (expires) timers.start(absence_->expiry, event::add_saturating(now, remaining));
  if (will_) {
    timers.start(absence_->will_delay, event::add_saturating(now, std::chrono::seconds(will_->delay_interval)));
  }
}

void Session::on_expiry() noexcept { shard_.sessions().end(*this, SessionTable::EndOf::kExpiry); }

void Session::on_will_delay() noexcept { shard_.wills().publish(*this); }

Session::Subscribed Session::subscribe(std::string_view filter, const mqtt::SubscriptionOptions& options,
                                       std::uint32_t identifier, std::uint8_t access) {
  SubscriberTable& table = shard_.subscribers();
  Subscriber subscriber;
  subscriber.session = slot_;
  subscriber.subscription_identifier = identifier;
  subscriber.options = static_cast<std::uint8_t>(
      static_cast<unsigned>(options.maximum_qos) | (options.no_local ? Subscriber::kNoLocal : 0U) |
      (options.retain_as_published ? Subscriber::kRetainAsPublished : 0U) | access);
  // In this order nothing is lost: the route may name this reactor a moment before the table names the session, but
  // both happen before the reactor looks into its mailbox again.
  const FilterId id = shard_.routes().add(filter, shard_.index(), is_durable()).filter;
  if (Subscriber* existing = table.find(id, slot_)) {
    subscriber.cookie = existing->cookie;
    subscriber.set_replay(existing->replay());
    *existing = subscriber;
    return {id, true};
  }
  subscriber.cookie = static_cast<std::uint32_t>(filters_.size());
  filters_.push_back(id);
  table.put(id, subscriber);
  shard_.counters().subscriptions.add();
  return {id, false};
}

bool Session::unsubscribe(std::string_view filter) {
  const FilterId id = shard_.routes().find(filter, shard_.index());
  if (!id) return false;
  const auto removed = shard_.subscribers().remove(id, slot_);
  if (!removed) return false;
  forget_place(removed->subscriber.cookie);
  if (removed->last) shard_.routes().remove(id, shard_.index());
  if (replays_) replays_->erase(key_of(id));
  shard_.counters().subscriptions.subtract();
  return true;
}

void Session::forget_place(std::uint32_t place) noexcept {
  if (place + 1 != filters_.size()) {
    filters_[place] = filters_.back();
    shard_.subscribers().find(filters_[place], slot_)->cookie = place;
  }
  filters_.pop_back();
  shrink_filters();
}

void Session::shrink_filters() {
  if (filters_.capacity() > 16 && filters_.size() < filters_.capacity() / 4) filters_.shrink_to_fit();
}

void Session::unsubscribe_last(std::size_t count) {
  std::array<FilterId, kFiltersPerRemoval> unrouted;
  std::size_t unrouted_count = 0;
  for (; count != 0; --count) {
    const FilterId id = filters_.back();
    filters_.pop_back();
    const auto removed = shard_.subscribers().remove(id, slot_);
    if (removed && removed->last) unrouted[unrouted_count++] = id;
  }
  shard_.routes().remove(std::span(unrouted).first(unrouted_count), shard_.index());
  shrink_filters();
}

bool Session::has_subscription(std::string_view filter) const {
  if (mqtt::is_shared(filter)) return shared_ && shared_->find(filter) != shared_->size();
  const FilterId id = shard_.routes().find(filter, shard_.index());
  return id && shard_.subscribers().find(id, slot_) != nullptr;
}

void Session::check_deliveries(std::uint8_t access) noexcept {
  for (const FilterId id : filters_) {
    if (Subscriber* subscriber = shard_.subscribers().find(id, slot_)) subscriber->options |= access;
  }
  if (shared_) shared_->check_deliveries(access);
  if (outbound_) outbound_->check_all(access);
}

bool Session::was_replayed(FilterId filter, std::uint64_t sequence) const noexcept {
  if (!replays_) return false;
  const auto found = replays_->find(key_of(filter));
  return found != replays_->end() && sequence <= found->second;
}

void Session::note_replay(FilterId filter, std::uint64_t last_sequence) {
  if (!replays_) replays_ = std::make_unique<ReplayMarks>();
  (*replays_)[key_of(filter)] = last_sequence;
}

SharedMemberships& Session::make_shared() {
  if (!shared_) shared_ = std::make_unique<SharedMemberships>(shard_.seed());
  return *shared_;
}

void Session::free_shared_if_empty() noexcept {
  if (shared_ && shared_->empty()) shared_.reset();
}

Outbound& Session::make_outbound() {
  if (!outbound_) outbound_ = std::make_unique<Outbound>(shard_.counters());
  return *outbound_;
}

Recipient Session::recipient(const OutboundEntry& entry) const noexcept {
  Recipient recipient;
  recipient.message = entry.message.get();
  recipient.session = number_;
  recipient.delivery = entry.kept ? entry.delivery : 0;
  recipient.packet_id = entry.packet_id;
  recipient.qos = entry.qos;
  recipient.retain = entry.retain;
  recipient.session_is_durable = is_durable();
  recipient.identifier = entry.identifier;
  if (entry.identifiers) recipient.identifiers = entry.identifiers->values();
  if (entry.share != 0) recipient.group = (*shared_)[entry.share - 1].name->text();
  return recipient;
}

ClientDrops& Session::make_drops() {
  if (!drops_) drops_ = std::make_unique<ClientDrops>();
  return *drops_;
}

void Session::free_outbound_if_empty() noexcept {
  if (outbound_ && outbound_->empty()) outbound_.reset();
}

}  // namespace mqloop::broker
