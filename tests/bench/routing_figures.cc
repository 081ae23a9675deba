// What it costs to find the subscribers of a topic, in a small table and in a large one, and to change the table; and
// the bytes that a filter and a retained topic take in the tables.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/broker/retained_store.h"
#include "core/broker/route_table.h"
#include "core/broker/subscriber_table.h"
#include "core/broker/topic_cache.h"
#include "tests/bench/support/counted_memory.h"
#include "tests/bench/support/meter.h"
#include "tests/bench/support/plant.h"

namespace {

using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::bench;

constexpr HashSeed kSeed{0x243f6a8885a308d3, 0x13198a2e03707344};
constexpr unsigned kReactor = 0;
constexpr std::size_t kTopics = 1000;

struct Tables {
  RouteTable routes{1, kSeed};
  SubscriberTable subscribers;

  FilterId add(std::size_t i) {
    const FilterId id = routes.add(filter_of(i), kReactor).filter;
    Subscriber subscriber;
    subscriber.session = static_cast<std::uint32_t>(i);
    subscribers.put(id, subscriber);
    return id;
  }
};

void measure_match(const std::string& size, Tables& tables, std::size_t filters) {
  std::vector<std::string> topics;
  for (std::size_t i = 0; i != kTopics; ++i) topics.push_back(topic_of(i * 7919 % filters));
  MatchResult found;
  std::size_t receivers = 0;
  measure("match, " + size, "topic", kTopics, [&] {
    for (const std::string& topic : topics) {
      tables.routes.match(topic, kReactor, found);
      for (const RouteMatch& hit : found.matches) receivers += tables.subscribers.subscribers(hit.filter).size();
    }
  });
  expect(receivers == kTopics, "each topic has one subscriber");

  TopicCache cache(tables.routes, kReactor);
  for (int round = 0; round != 2; ++round) {
    for (const std::string& topic : topics) (void)cache.match(topic);
  }
  std::size_t matches = 0;
  measure("match, " + size + ", repeated topics", "topic", kTopics, [&] {
    for (const std::string& topic : topics) matches += cache.match(topic).matches.size();
  });
  expect(matches == kTopics, "a cached topic has one match");
}

void measure_changes(const std::string& size, Tables& tables, std::size_t filters) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i != kTopics; ++i) texts.push_back(filter_of(filters + i));
  std::vector<FilterId> ids(kTopics);
  // A table that has grown: what growing costs falls upon few, and upon which is chance.
  for (std::size_t i = 0; i != kTopics; ++i) ids[i] = tables.routes.add(texts[i], kReactor).filter;
  for (const FilterId id : ids) tables.routes.remove(id, kReactor);
  measure("add a filter, " + size, "filter", kTopics, [&] {
    for (std::size_t i = 0; i != kTopics; ++i) ids[i] = tables.routes.add(texts[i], kReactor).filter;
  });
  std::size_t removed = 0;
  measure("remove a filter, " + size, "filter", kTopics, [&] {
    for (const FilterId id : ids) removed += tables.routes.remove(id, kReactor) ? 1 : 0;
  });
  expect(removed == kTopics, "what was added is removed");
}

void measure_filters(const std::string& size, std::size_t filters) {
  const std::uint64_t before = counted_memory().bytes;
  Tables tables;
  for (std::size_t i = 0; i != filters; ++i) tables.add(i);
  if (!counts_instructions()) {
    print_figure("filter in the tables, " + size, "bytes",
                 static_cast<double>(counted_memory().bytes - before) / static_cast<double>(filters));
  }
  measure_match(size, tables, filters);
  measure_changes(size, tables, filters);
}

Ref<const Message> retained_message(std::size_t i) {
  static const std::vector<std::uint8_t> payload(64);
  const std::string topic = topic_of(i);
  Message::Content content;
  content.topic = topic;
  content.payload = payload;
  content.retain = true;
  return Message::create(content);
}

void measure_retained(std::size_t topics) {
  RetainedStore store(1, kSeed);
  for (std::size_t i = 0; i != topics; ++i) store.store(retained_message(i), kReactor);
  std::vector<Ref<const Message>> fresh;
  std::vector<Ref<const Message>> again;
  for (std::size_t i = 0; i != kTopics; ++i) {
    fresh.push_back(retained_message(topics + i));
    again.push_back(retained_message(i));
  }
  measure("store a retained message, new topic", "message", kTopics, [&] {
    for (auto& message : fresh) store.store(std::move(message), kReactor);
  });
  measure("store a retained message, known topic", "message", kTopics, [&] {
    for (auto& message : again) store.store(std::move(message), kReactor);
  });
  std::vector<Retained> found;
  found.reserve(topics + kTopics);
  RetainedCursor cursor(store, "plant/#", kReactor);
  measure("find a retained message by wildcard", "message", topics + kTopics, [&] {
    while (cursor.next(256, found)) {
    }
  });
  expect(found.size() == topics + kTopics, "every retained message is found");
}

}  // namespace

int main() {
  measure_filters("1 k filters", 1000);
  measure_filters("1 M filters", 1'000'000);
  measure_retained(10'000);
}
