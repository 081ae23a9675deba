// Bytes -> operations on the RouteTable, the TopicCache and the RetainedStore, each answer held against the plain
// matcher. The first byte chooses how many bits of each edge's hash survive; then each operation is a byte, and, where
// it needs one, a topic or filter: bytes up to 0xff or to the end.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/topic_cache.h"
#include "core/mqtt/topic.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;

constexpr unsigned kReactors = 3;
constexpr std::size_t kMaxOperations = 200;

void expect(bool holds) {
  if (!holds) std::abort();
}

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string text() {
    const std::string text(rest_.substr(0, rest_.find('\xff')));
    rest_.remove_prefix(std::min(rest_.size(), text.size() + 1));
    return text;
  }

 private:
  std::string_view rest_;
};

// The structures beside what they should hold.
class Model {
 public:
  explicit Model(std::uint32_t kept) : hash_({1, 2}, kept) {}

  void add(const std::string& filter, unsigned reactor) {
    if (!mqtt::validate_topic_filter(filter).ok()) return;
    const RouteTable::Added added = routes_.add(filter, reactor);
    expect(added.created == !filters_.contains(filter));
    expect(routes_.filter_text(added.filter, 0) == filter);
    filters_[filter] |= std::uint64_t{1} << reactor;
    ids_.push_back(added.filter);
  }

  // Of any FilterId ever given out, stale or not.
  void remove(std::size_t which, unsigned reactor) {
    if (ids_.empty()) return;
    const FilterId id = ids_[which % ids_.size()];
    const auto entry = filters_.find(routes_.filter_text(id, 0));
    const bool gone = routes_.remove(id, reactor);
    if (entry == filters_.end()) return expect(!gone);
    entry->second &= ~(std::uint64_t{1} << reactor);
    expect(gone == (entry->second == 0));
    if (gone) filters_.erase(entry);
  }

  void match(const std::string& topic, unsigned reactor) {
    if (!mqtt::validate_topic_name(topic).ok()) return;
    std::map<std::string, std::uint64_t> expected;
    for (const auto& [filter, reactors] : filters_) {
      if (mqtt::matches(filter, topic)) expected[filter] = reactors;
    }
    MatchResult walked;
    routes_.match(topic, reactor, walked);
    expect(by_text(walked.matches) == expected);
    expect(walked.matches.size() == expected.size());
    expect(by_text(cache_.match(topic).matches) == expected);
  }

  void store(const std::string& topic, unsigned reactor) {
    if (!mqtt::validate_topic_name(topic).ok()) return;
    Message::Content content;
    content.topic = topic;
    const bool there = static_cast<bool>(retained_.store(Message::create(content), reactor).previous);
    expect(there == !topics_.insert(topic).second);
  }

  void clear(const std::string& topic, unsigned reactor) {
    if (!mqtt::validate_topic_name(topic).ok()) return;
    expect(static_cast<bool>(retained_.clear(topic, reactor).previous) == (topics_.erase(topic) == 1));
  }

  void replay(const std::string& filter, unsigned reactor, std::size_t budget) {
    if (!mqtt::validate_topic_filter(filter).ok()) return;
    RetainedCursor cursor(retained_, filter, reactor);
    std::vector<Retained> list;
    while (cursor.next(budget, list)) {
    }
    std::set<std::string> found;
    for (const Retained& retained : list) expect(found.emplace(retained.message->topic()).second);
    std::set<std::string> expected;
    for (const std::string& topic : topics_) {
      if (mqtt::matches(filter, topic)) expected.insert(topic);
    }
    expect(found == expected);
  }

  void take_all_away() {
    for (const auto& [filter, reactors] : filters_) {
      for (unsigned reactor = 0; reactor < kReactors; ++reactor) routes_.remove(routes_.find(filter, 0), reactor);
    }
    for (const std::string& topic : topics_) retained_.clear(topic, 0);
    expect(routes_.node_count() == 0 && routes_.filter_count() == 0);
    expect(retained_.node_count() == 0 && retained_.count() == 0 && retained_.bytes() == 0);
  }

 private:
  template <typename Matches>
  std::map<std::string, std::uint64_t> by_text(const Matches& matches) {
    std::map<std::string, std::uint64_t> texts;
    for (const RouteMatch& match : matches) texts[routes_.filter_text(match.filter, 0)] = match.reactors;
    return texts;
  }

  TopicHash hash_;
  RouteTable routes_{kReactors, hash_};
  TopicCache cache_{routes_, 0, 16};
  RetainedStore retained_{kReactors, hash_};
  std::map<std::string, std::uint64_t> filters_;
  std::set<std::string> topics_;
  std::vector<FilterId> ids_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const std::uint8_t bits = bytes.byte() % 33;
  Model model(bits == 0 ? 0 : UINT32_MAX << (32 - bits));
  for (std::size_t i = 0; i < kMaxOperations && !bytes.empty(); ++i) {
    const std::uint8_t operation = bytes.byte();
    const unsigned reactor = operation / 8 % kReactors;
    switch (operation % 8) {
      case 0:
      case 1:
        model.add(bytes.text(), reactor);
        break;
      case 2:
        model.remove(bytes.byte(), reactor);
        break;
      case 3:
      case 4:
        model.match(bytes.text(), reactor);
        break;
      case 5:
        model.store(bytes.text(), reactor);
        break;
      case 6:
        model.clear(bytes.text(), reactor);
        break;
      default:
        model.replay(bytes.text(), reactor, 1 + operation / 32);
        break;
    }
  }
  model.take_all_away();
  return 0;
}
