// The window and the queue of a session: identifiers, order, what is counted, what is to be sent again.
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/broker/outbound.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;

OutboundEntry entry(const std::string& payload, QoS qos = QoS::kAtLeastOnce) {
  Message::Content content;
  content.topic = "t";
  content.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
  content.qos = qos;
  OutboundEntry result;
  result.message = Message::create(content);
  result.qos = qos;
  return result;
}

std::string payload_of(const OutboundEntry& entry) {
  const auto payload = entry.message->payload();
  return {payload.begin(), payload.end()};
}

OutboundEntry* send(Outbound& outbound, const std::string& payload, QoS qos = QoS::kAtLeastOnce) {
  OutboundEntry made = entry(payload, qos);
  OutboundEntry* sent = outbound.take(made);
  if (sent != nullptr) outbound.first_is_sent();
  return sent;
}

std::string window_of(Outbound& outbound) {
  std::string result;
  for (std::size_t i = 0; i != outbound.in_flight(); ++i) result += payload_of(outbound.window_at(i));
  return result;
}

}  // namespace

TEST_GROUP(Outbound) {
  Counters counters;
  Outbound outbound{counters};

  void teardown() override {
    LONGS_EQUAL(outbound.in_flight() + outbound.queued(), counters.messages_waiting.value());
    std::size_t bytes = outbound.queued_bytes();
    for (std::size_t i = 0; i != outbound.in_flight(); ++i) {
      if (outbound.window_at(i).message) bytes += outbound.window_at(i).message->footprint();
    }
    LONGS_EQUAL(bytes, counters.bytes_waiting.value());
  }
};

TEST(Outbound, an_entry_has_an_identifier_exactly_while_it_is_in_the_window) {
  outbound.enqueue(entry("a"));
  LONGS_EQUAL(0, outbound.next().packet_id);
  const OutboundEntry* sent = outbound.take_next();
  CHECK(sent->packet_id != 0);
  CHECK(mqtt::SenderState::kAwaitPuback == sent->state);
  LONGS_EQUAL(0, outbound.queued());
  LONGS_EQUAL(1, outbound.in_flight());
}

TEST(Outbound, qos_2_begins_by_waiting_for_pubrec) {
  CHECK(mqtt::SenderState::kAwaitPubrec == send(outbound, "a", QoS::kExactlyOnce)->state);
}

TEST(Outbound, identifiers_in_the_window_are_distinct_and_rotate) {
  std::set<std::uint16_t> seen;
  for (int i = 0; i != 200; ++i) {
    OutboundEntry* sent = send(outbound, "a");
    CHECK(seen.insert(sent->packet_id).second);
    if (i % 2 == 0) outbound.finish(sent);  // its identifier is free, and not the next to be used
  }
  LONGS_EQUAL(100, outbound.in_flight());
}

TEST(Outbound, without_a_free_identifier_nothing_is_sent_and_nothing_is_lost) {
  for (int i = 0; i != 65535; ++i) CHECK(send(outbound, "") != nullptr);
  OutboundEntry one_more = entry("last");
  POINTERS_EQUAL(nullptr, outbound.take(one_more));
  STRCMP_EQUAL("last", payload_of(one_more).c_str());
  outbound.enqueue(std::move(one_more));
  POINTERS_EQUAL(nullptr, outbound.take_next());
  STRCMP_EQUAL("last", payload_of(outbound.next()).c_str());
  outbound.finish(outbound.find(777));
  LONGS_EQUAL(777, outbound.take_next()->packet_id);
}

TEST(Outbound, each_identifier_finds_its_entry_in_whatever_order_exchanges_end) {
  std::vector<std::uint16_t> ids;
  for (const char* name : {"a", "b", "c", "d", "e"}) ids.push_back(send(outbound, name)->packet_id);
  for (const int ended : {2, 0, 4}) {
    outbound.finish(outbound.find(ids[static_cast<std::size_t>(ended)]));
    POINTERS_EQUAL(nullptr, outbound.find(ids[static_cast<std::size_t>(ended)]));
  }
  STRCMP_EQUAL("b", payload_of(*outbound.find(ids[1])).c_str());
  STRCMP_EQUAL("d", payload_of(*outbound.find(ids[3])).c_str());
  STRCMP_EQUAL("bd", window_of(outbound).c_str());
}

TEST(Outbound, an_unknown_identifier_finds_nothing) {
  POINTERS_EQUAL(nullptr, outbound.find(1));
  const std::uint16_t id = send(outbound, "a")->packet_id;
  POINTERS_EQUAL(nullptr, outbound.find(static_cast<std::uint16_t>(id + 1)));
  POINTERS_EQUAL(nullptr, outbound.find(static_cast<std::uint16_t>(id - 1)));
}

TEST(Outbound, the_queue_keeps_its_order_and_counts_bytes_and_qos_0) {
  outbound.enqueue(entry("a"));
  outbound.enqueue(entry("bb", QoS::kAtMostOnce));
  outbound.enqueue(entry("ccc", QoS::kExactlyOnce));
  LONGS_EQUAL(3, outbound.queued());
  LONGS_EQUAL(1, outbound.queued_qos0());
  LONGS_EQUAL(3 * sizeof(Message) + 3 * 1 + 6, outbound.queued_bytes());
  STRCMP_EQUAL("a", payload_of(*outbound.take_next()).c_str());
  STRCMP_EQUAL("bb", payload_of(outbound.next()).c_str());
  outbound.drop_next();
  LONGS_EQUAL(0, outbound.queued_qos0());
  STRCMP_EQUAL("ccc", payload_of(outbound.queued_at(0)).c_str());
  LONGS_EQUAL(sizeof(Message) + 1 + 3, outbound.queued_bytes());
  outbound.drop_next();
  LONGS_EQUAL(0, outbound.queued_bytes());
  CHECK(!outbound.empty());  // the window
}

TEST(Outbound, a_client_that_comes_back_is_sent_the_window_again_oldest_first) {
  for (const char* name : {"a", "b", "c"}) send(outbound, name);
  outbound.resend_all();
  std::string resent;
  while (outbound.to_send() != 0) {
    resent += payload_of(outbound.first_to_send());
    outbound.first_is_sent();
  }
  STRCMP_EQUAL("abc", resent.c_str());
}

TEST(Outbound, what_ends_before_it_was_sent_again_is_not_sent_again) {
  std::vector<std::uint16_t> ids;
  for (const char* name : {"a", "b", "c", "d"}) ids.push_back(send(outbound, name)->packet_id);
  outbound.resend_all();
  outbound.first_is_sent();                // a
  outbound.finish(outbound.find(ids[2]));  // c is still to be sent again
  LONGS_EQUAL(2, outbound.to_send());
  outbound.finish(outbound.find(ids[0]));  // a was
  LONGS_EQUAL(2, outbound.to_send());
  STRCMP_EQUAL("b", payload_of(outbound.first_to_send()).c_str());
}

TEST(Outbound, a_new_connection_begins_with_a_quota_of_which_nothing_is_taken) {
  send(outbound, "a")->counted = true;
  outbound.resend_all();
  CHECK(!outbound.window_at(0).counted);
}

TEST(Outbound, what_is_held_in_the_queue_is_released_by_its_number) {
  std::uint64_t delivery = 0;
  for (const char* payload : {"a", "b", "c"}) {
    OutboundEntry made = entry(payload);
    made.held = true;
    made.delivery = ++delivery;
    outbound.enqueue(std::move(made));
  }
  POINTERS_EQUAL(&outbound.queued_at(1), outbound.release(2, 0));
  CHECK(!outbound.queued_at(1).held);
  CHECK(outbound.queued_at(0).held && outbound.queued_at(2).held);
  POINTERS_EQUAL(nullptr, outbound.release(2, 0));
}

TEST(Outbound, what_is_held_in_the_window_has_its_identifier_and_is_still_to_be_sent) {
  OutboundEntry made = entry("a", QoS::kExactlyOnce);
  made.held = true;
  made.delivery = 7;
  OutboundEntry* held = outbound.take(made);
  LONGS_EQUAL(1, outbound.to_send());
  CHECK(outbound.is_to_send(*held));
  CHECK(!held->sent);
  POINTERS_EQUAL(nullptr, outbound.release(8, held->packet_id));
  POINTERS_EQUAL(held, outbound.release(7, held->packet_id));
  CHECK(!held->held);
  outbound.first_is_sent();
  CHECK(held->sent);
  CHECK(!outbound.is_to_send(*held));
}

TEST(Outbound, a_session_from_the_store_has_its_window_before_its_queue_and_its_identifiers_in_use) {
  OutboundEntry sent = entry("a");
  sent.packet_id = 3;
  sent.state = mqtt::SenderState::kAwaitPuback;
  CHECK(outbound.restore(sent));
  CHECK(!outbound.restore(sent));  // the identifier is taken
  CHECK(outbound.restore(entry("b")));
  LONGS_EQUAL(1, outbound.in_flight());
  LONGS_EQUAL(1, outbound.to_send());
  LONGS_EQUAL(1, outbound.queued());
  for (int i = 0; i != 3; ++i) CHECK(send(outbound, "c")->packet_id != 3);
}

TEST(Outbound, what_came_through_one_shared_subscription_can_be_taken_out_and_the_rest_keeps_its_order) {
  const std::pair<const char*, std::uint32_t> made[] = {{"a", 0}, {"b", 1}, {"c", 2}, {"d", 1}, {"e", 0}};
  for (const auto& [payload, share] : made) {
    OutboundEntry one = entry(payload, share == 1 ? QoS::kAtMostOnce : QoS::kAtLeastOnce);
    one.share = share;
    outbound.enqueue(std::move(one));
  }
  LONGS_EQUAL(2, outbound.queued_qos0());
  std::string taken;
  for (const OutboundEntry& one : outbound.take_queued(1)) taken += payload_of(one);
  STRCMP_EQUAL("bd", taken.c_str());
  LONGS_EQUAL(0, outbound.queued_qos0());
  taken.clear();
  for (const OutboundEntry& one : outbound.take_queued(0)) taken += payload_of(one);
  STRCMP_EQUAL("c", taken.c_str());
  std::string left;
  while (outbound.queued() != 0) {
    left += payload_of(outbound.next());
    outbound.drop_next();
  }
  STRCMP_EQUAL("ae", left.c_str());
}
