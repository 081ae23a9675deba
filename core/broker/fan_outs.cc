#include "core/broker/fan_outs.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/broker/connection.h"
#include "core/broker/session.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

// Messages that go through a list together.
constexpr std::size_t kMostTogether = 16;

void forget_one(std::unordered_map<std::uint64_t, std::uint32_t>& counts, std::uint64_t key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
}

}  // namespace

std::size_t FanOuts::FanOut::left() const noexcept {
  std::size_t result = 0;
  for (std::size_t i = at; i != cursors.size(); ++i) result += cursors[i]->left();
  return result;
}

bool FanOuts::FanOut::can_go_with(const FanOut& other) const noexcept {
  return cursors.size() == 1 && other.cursors.size() == 1 && cursors[0]->stands_as(*other.cursors[0]);
}

// ---- what comes in -------------------------------------------------------------------------------------------------

bool FanOuts::concern(const RoutedMessage& message) const noexcept {
  return publishers_.contains(message.publisher()) || topics_.contains(shard_.client_key(message.topic()));
}

bool FanOuts::has_enough(std::uint64_t publisher) const noexcept {
  const auto found = publishers_.find(publisher);
  return found != publishers_.end() && found->second >= kMostOfPublisher;
}

std::size_t FanOuts::add(std::span<const FilterId> filters, RoutedMessage& message, std::uint64_t retained_sequence,
                         const RecipientNotes* notes) {
  FanOut& fan_out = queue_.emplace_back();
  fan_out.message = message.message();
  fan_out.topic = shard_.client_key(message.topic());
  for (const FilterId filter : filters) {
    fan_out.cursors.push_back(std::make_unique<SubscriberCursor>(shard_.subscribers(), filter));
  }
  std::sort(fan_out.cursors.begin(), fan_out.cursors.end(),
            [](const auto& one, const auto& other) { return one->filter().slot < other->filter().slot; });
  fan_out.retained_sequence = retained_sequence;
  if (notes != nullptr) {
    fan_out.hold = notes->hold;
    fan_out.block = &notes->block;
    ++notes->block.fan_outs;
  }
  ++publishers_[message.publisher()];
  ++topics_[fan_out.topic];
  bytes_ += fan_out.message->footprint();
  hold_publishers();
  shard_.loop().request_turn();
  return fan_out.left();
}

void FanOuts::pause(const Connection& connection) { paused_.push_back(connection.handle()); }

void FanOuts::hold_publishers() {
  if (queue_.size() >= kMostWaiting || bytes_ >= kMostBytes) {
    shard_.hold_for_fan_outs(true);
  } else if (queue_.size() <= kMostWaiting / 2 && bytes_ <= kMostBytes / 2) {
    shard_.hold_for_fan_outs(false);
  }
}

// ---- what goes out -------------------------------------------------------------------------------------------------

void FanOuts::run() {
  if (queue_.empty()) return;
  for (std::size_t left = sizes_.slice; left != 0 && !queue_.empty();) left -= std::min(left, advance(left));
  if (!queue_.empty()) shard_.loop().request_turn();
}

void FanOuts::finish() {
  while (!queue_.empty()) advance(std::numeric_limits<std::size_t>::max());
}

std::size_t FanOuts::batch_at_front() const noexcept {
  const std::size_t most = std::min(kMostTogether, queue_.size());
  std::size_t count = 1;
  while (count != most && queue_[count].can_go_with(queue_.front())) ++count;
  return count;
}

// A part of the messages at the front. Returns how many deliveries that was, at least one.
std::size_t FanOuts::advance(std::size_t most) {
  if (batch_ == 0) batch_ = batch_at_front();
  const std::size_t width = std::max<std::size_t>(1, most / batch_);
  std::size_t visited = 0;
  for (std::size_t i = 0; i != batch_; ++i) visited += visit(queue_[i], width);
  while (batch_ != 0 && queue_.front().done()) leave();
  return std::max<std::size_t>(1, visited);
}

std::size_t FanOuts::visit(FanOut& fan_out, std::size_t most) {
  if (has_expired(*fan_out.message, shard_.loop().now())) {
    shard_.counters().drop(DropCause::kExpired, fan_out.left());
    fan_out.at = fan_out.cursors.size();
    return 0;
  }
  RoutedMessage message(fan_out.message);
  shard_.delivery().begin();
  if (fan_out.block == nullptr) {
    return fan_out.cursors.size() == 1 ? visit_one_filter(fan_out, message, most, nullptr)
                                       : visit_filters(fan_out, message, most, nullptr);
  }
  RecipientNotes notes{*fan_out.block, fan_out.hold, true};
  return fan_out.cursors.size() == 1 ? visit_one_filter(fan_out, message, most, &notes)
                                     : visit_filters(fan_out, message, most, &notes);
}

std::size_t FanOuts::visit_one_filter(FanOut& fan_out, RoutedMessage& message, std::size_t most,
                                      RecipientNotes* notes) {
  SubscriberCursor& cursor = *fan_out.cursors[0];
  const std::span<const Subscriber> subscribers = cursor.next(most);
  shard_.delivery().deliver_to(subscribers, cursor.filter(), message, fan_out.retained_sequence, notes);
  if (cursor.left() == 0) fan_out.at = 1;
  return subscribers.size();
}

// One filter's subscribers after the other's; whoever was visited under an earlier filter got it for all of them.
std::size_t FanOuts::visit_filters(FanOut& fan_out, RoutedMessage& message, std::size_t most, RecipientNotes* notes) {
  std::size_t visited = 0;
  while (visited < most && !fan_out.done()) {
    SubscriberCursor& cursor = *fan_out.cursors[fan_out.at];
    const std::span<const Subscriber> one = cursor.next(1);
    if (one.empty()) {
      ++fan_out.at;
    } else if (one[0].is_group()) {
      ++visited;
      shard_.delivery().deliver_to(one, cursor.filter(), message, fan_out.retained_sequence, notes);
    } else {
      visited += deliver_merged(fan_out, one[0], message, notes);
    }
  }
  return visited;
}

// Returns its weight in the slice: it looks at as many filters as the message or the session has, where it has fewer.
std::size_t FanOuts::deliver_merged(FanOut& fan_out, const Subscriber& subscriber, RoutedMessage& message,
                                    RecipientNotes* notes) {
  if (fan_out.visited.size() <= subscriber.session) fan_out.visited.resize(subscriber.session + 1);
  if (fan_out.visited[subscriber.session]) return 1;
  fan_out.visited[subscriber.session] = true;
  Session& session = *shard_.sessions().at(subscriber.session);
  if (session.has_ended()) return 1;
  Delivery& delivery = shard_.delivery();
  delivery.begin_merge(session);
  const auto merge = [&](const SubscriberCursor& cursor) {
    const Subscriber* found = cursor.find(session.slot());
    if (found != nullptr) delivery.merge(*found, cursor.filter(), message, fan_out.retained_sequence);
  };
  const std::vector<FilterId>& filters = session.filters();
  const std::size_t looks = std::min(filters.size(), fan_out.cursors.size());
  if (looks == fan_out.cursors.size()) {
    for (const auto& cursor : fan_out.cursors) merge(*cursor);
  } else {
    for (const FilterId filter : filters) {
      const auto found =
          std::lower_bound(fan_out.cursors.begin(), fan_out.cursors.end(), filter.slot,
                           [](const auto& cursor, std::uint32_t slot) { return cursor->filter().slot < slot; });
      if (found != fan_out.cursors.end() && (*found)->filter() == filter) merge(**found);
    }
  }
  delivery.deliver_merged(message, notes);
  return 1 + looks / 16;
}

// The first is done.
void FanOuts::leave() {
  const FanOut first = std::move(queue_.front());
  queue_.pop_front();
  --batch_;
  forget_one(publishers_, first.message->publisher());
  forget_one(topics_, first.topic);
  bytes_ -= first.message->footprint();
  hold_publishers();
  for (const ConnectionHandle handle : std::exchange(paused_, {})) {
    if (Connection* connection = shard_.find(handle)) connection->unpause();
  }
  if (first.block != nullptr) shard_.publishing().fan_out_done(*first.block);
}

}  // namespace mqloop::broker
