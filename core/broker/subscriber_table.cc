#include "core/broker/subscriber_table.h"

#include <algorithm>
#include <utility>

namespace mqloop::broker {

namespace {

// A list as long as this finds its sessions by an index, and one shorter than half of it by looking.
constexpr std::size_t kIndexed = 64;

// Spreads slots, which are small numbers, over 32 bits. A bijection: equal hashes are equal slots.
std::uint32_t spread(std::uint32_t slot) noexcept {
  slot ^= slot >> 16;
  slot *= 0x21f0aaadU;
  slot ^= slot >> 15;
  slot *= 0x735a2d97U;
  slot ^= slot >> 15;
  return slot;
}

constexpr auto kAny = [](std::uint32_t) { return true; };

}  // namespace

// --- List ----------------------------------------------------------------------------------------------------------

std::size_t SubscriberTable::List::footprint() const noexcept {
  return sizeof(List) + subscribers.capacity() * sizeof(Subscriber) +
         (places == nullptr ? 0 : sizeof(HashIndex) + places->footprint());
}

std::uint32_t SubscriberTable::List::place_of(std::uint32_t session) const noexcept {
  const auto size = static_cast<std::uint32_t>(subscribers.size());
  if (places != nullptr) {
    const std::uint32_t place = places->find(spread(session), kAny);
    return place == 0 ? size : place - 1;
  }
  std::uint32_t place = 0;
  while (place < size && subscribers[place].session != session) ++place;
  return place;
}

void SubscriberTable::List::append(const Subscriber& subscriber) {
  subscribers.push_back(subscriber);
  if (places != nullptr) {
    places->insert(spread(subscriber.session), static_cast<std::uint32_t>(subscribers.size()));
  } else if (subscribers.size() == kIndexed) {
    places = std::make_unique<HashIndex>();
    for (std::uint32_t place = 0; place < kIndexed; ++place) {
      places->insert(spread(subscribers[place].session), place + 1);
    }
  }
}

void SubscriberTable::List::move(std::uint32_t from, std::uint32_t to) noexcept {
  if (from == to) return;
  subscribers[to] = subscribers[from];
  if (places != nullptr) places->replace(spread(subscribers[to].session), from + 1, to + 1);
}

void SubscriberTable::List::drop_last() {
  subscribers.pop_back();
  if (subscribers.size() < kIndexed / 2) places.reset();
  if (subscribers.size() >= subscribers.capacity() / 4) return;
  std::vector<Subscriber> smaller;
  smaller.reserve(subscribers.size() * 2);
  smaller.assign(subscribers.begin(), subscribers.end());
  subscribers.swap(smaller);
}

// --- SubscriberTable -----------------------------------------------------------------------------------------------

SubscriberTable::SubscriberTable() {
  entries_.take();  // number 0 says "none"
}

SubscriberTable::~SubscriberTable() = default;

std::uint32_t SubscriberTable::number_of(FilterId filter) const noexcept {
  return index_.find(spread(filter.slot),
                     [&](std::uint32_t number) { return entries_[number].generation == filter.generation; });
}

SubscriberTable::Put SubscriberTable::put(FilterId filter, const Subscriber& subscriber) {
  if (Subscriber* present = find(filter, subscriber.session); present != nullptr) {
    *present = subscriber;
    return Put::kReplaced;
  }
  ++subscribers_;
  if (const std::uint32_t number = number_of(filter); number != 0) {
    append(entries_[number], subscriber);
    return Put::kAdded;
  }
  const std::uint32_t number = entries_.take();
  Entry& entry = entries_[number];
  entry.generation = filter.generation;
  entry.size = 1;
  entry.one = subscriber;
  index_.insert(spread(filter.slot), number);
  return Put::kFirst;
}

void SubscriberTable::append(Entry& entry, const Subscriber& subscriber) {
  if (entry.size == 1) {
    auto list = std::make_unique<List>();
    list->subscribers.reserve(2);
    list->append(entry.one);
    list_bytes_ += list->footprint();
    entry.list = list.release();
  }
  list_bytes_ -= entry.list->footprint();
  entry.list->append(subscriber);
  list_bytes_ += entry.list->footprint();
  ++entry.size;
}

std::optional<SubscriberTable::Removed> SubscriberTable::remove(FilterId filter, std::uint32_t session) {
  const std::uint32_t number = number_of(filter);
  if (number == 0) return std::nullopt;
  Entry& entry = entries_[number];
  Removed removed;
  if (entry.size == 1) {
    if (entry.one.session != session) return std::nullopt;
    removed = {entry.one, true};
    for (SubscriberCursor* cursor : cursors_) {
      if (cursor->filter_ == filter) cursor->position_ = cursor->end_ = 0;
    }
    index_.erase(spread(filter.slot), number);
    entries_.give_back(number);
  } else {
    const std::uint32_t place = entry.list->place_of(session);
    if (place == entry.size) return std::nullopt;
    removed = {take_from_list(entry, filter, place), false};
  }
  --subscribers_;
  return removed;
}

// The gap wanders to the end of the list in steps, from one cursor's border to the next, so that nobody changes sides:
// at each border the last one before it fills the gap.
Subscriber SubscriberTable::take_from_list(Entry& entry, FilterId filter, std::uint32_t place) {
  List& list = *entry.list;
  const Subscriber taken = list.subscribers[place];
  list_bytes_ -= list.footprint();
  if (list.places != nullptr) list.places->erase(spread(taken.session), place + 1);
  for (std::uint32_t gap = place; gap + 1 < entry.size;) {
    std::uint32_t border = entry.size;
    for (const SubscriberCursor* cursor : cursors_) {
      if (cursor->filter_ != filter) continue;
      if (cursor->position_ > gap + 1) border = std::min(border, cursor->position_);
      if (cursor->end_ > gap + 1) border = std::min(border, cursor->end_);
    }
    list.move(border - 1, gap);
    gap = border - 1;
  }
  for (SubscriberCursor* cursor : cursors_) {
    if (cursor->filter_ != filter) continue;
    if (cursor->position_ > place) --cursor->position_;
    if (cursor->end_ > place) --cursor->end_;
  }
  list.drop_last();
  list_bytes_ += list.footprint();
  if (--entry.size == 1) {
    list_bytes_ -= list.footprint();
    const Subscriber left = list.subscribers.front();
    delete std::exchange(entry.list, nullptr);
    entry.one = left;
  }
  return taken;
}

Subscriber* SubscriberTable::find(FilterId filter, std::uint32_t session) noexcept {
  const std::uint32_t number = number_of(filter);
  if (number == 0) return nullptr;
  Entry& entry = entries_[number];
  if (entry.size == 1) return entry.one.session == session ? &entry.one : nullptr;
  const std::uint32_t place = entry.list->place_of(session);
  return place == entry.size ? nullptr : &entry.list->subscribers[place];
}

std::span<const Subscriber> SubscriberTable::subscribers(FilterId filter) const noexcept {
  const std::uint32_t number = number_of(filter);
  if (number == 0) return {};
  const Entry& entry = entries_[number];
  if (entry.size == 1) return {&entry.one, 1};
  return entry.list->subscribers;
}

// --- SubscriberCursor ----------------------------------------------------------------------------------------------

SubscriberCursor::SubscriberCursor(SubscriberTable& table, FilterId filter)
    : table_(table), filter_(filter), end_(static_cast<std::uint32_t>(table.subscribers(filter).size())) {
  table_.cursors_.push_back(this);
}

SubscriberCursor::~SubscriberCursor() { std::erase(table_.cursors_, this); }

std::span<const Subscriber> SubscriberCursor::next(std::size_t most) noexcept {
  const std::size_t count = std::min<std::size_t>(most, left());
  const std::size_t from = position_;
  position_ += static_cast<std::uint32_t>(count);
  return count == 0 ? std::span<const Subscriber>() : table_.subscribers(filter_).subspan(from, count);
}

const Subscriber* SubscriberCursor::find(std::uint32_t session) const noexcept {
  const Subscriber* found = table_.find(filter_, session);
  return found == nullptr || found - table_.subscribers(filter_).data() >= end_ ? nullptr : found;
}

}  // namespace mqloop::broker
