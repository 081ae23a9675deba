#include "plugins/publisher_sqlite/sqlite_shard.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/publisher_sqlite/fake_reactor.h"
#include "tests/unit/publisher_sqlite/script.h"

#include <CppUTest/TestHarness.h>

using namespace std::chrono_literals;
using namespace mqloop;
using namespace mqloop::publisher_sqlite;
using namespace mqloop::publisher_sqlite_test;

TEST_GROUP(SqliteShard) {
  TopicRules rules;
  Journal journal{1024 * 1024};
  Notices notices;
  FakeReactor reactor{1};
  FakeSink sink;
  std::unique_ptr<SqliteShard> shard;
  Journal::Parcels taken;

  void setup() override { make(Durability::kFull); }
  void make(Durability durability) {
    shard.reset();
    rules = TopicRules(durability);
    add_shard();
  }
  void add_rule(const char* filter, Durability durability) {
    shard.reset();
    rules.add(filter, durability);
    add_shard();
  }
  void add_shard() { shard = std::make_unique<SqliteShard>(rules, journal, notices, reactor, sink); }

  PublishOp ask(QoS qos, bool durable_recipients, bool session_is_durable = false, bool retain = false,
                std::string_view topic = "a/b") {
    PublishOp request;
    request.topic = topic;
    request.qos = qos;
    request.retain = retain;
    request.durable_recipients = durable_recipients;
    request.session = 3;
    request.session_is_durable = session_is_durable;
    request.packet_id = qos == QoS::kAtMostOnce ? 0 : 7;
    shard->admit(request);
    return request;
  }
  // What has been sent.
  std::vector<Entry> sent() {
    shard->end_turn();
    taken.clear();
    journal.take(taken, std::chrono::steady_clock::now());
    return taken.empty() ? std::vector<Entry>() : taken[0]->entries;
  }
  static Recipient to(std::uint64_t session, std::uint64_t delivery, const Message& message, bool durable = true,
                      QoS qos = QoS::kAtLeastOnce) {
    Recipient recipient;
    recipient.message = &message;
    recipient.session = session;
    recipient.delivery = delivery;
    recipient.qos = qos;
    recipient.session_is_durable = durable;
    return recipient;
  }
};

// ---- what waits ----------------------------------------------------------------------------------------------------

TEST(SqliteShard, qos1_that_nobody_keeps_passes_through) {
  const PublishOp request = ask(QoS::kAtLeastOnce, false);
  CHECK_TRUE(request.admission == Admission::kPassThrough);
  CHECK_FALSE(request.ack_later);
}

TEST(SqliteShard, qos1_for_durable_sessions_or_retained_is_acknowledged_when_it_is_on_disk) {
  for (const PublishOp& request :
       {ask(QoS::kAtLeastOnce, true), ask(QoS::kAtLeastOnce, false, false, /*retain=*/true)}) {
    CHECK_TRUE(request.admission == Admission::kRoute);
    CHECK_TRUE(request.ack_later);
    CHECK_TRUE(request.hold == Hold::kNothing);
  }
}

TEST(SqliteShard, qos2_that_nobody_keeps_passes_through) {
  CHECK_TRUE(ask(QoS::kExactlyOnce, false).admission == Admission::kPassThrough);
}

TEST(SqliteShard, qos2_of_a_durable_session_holds_every_qos2_delivery) {
  const PublishOp request = ask(QoS::kExactlyOnce, false, /*session_is_durable=*/true);
  CHECK_TRUE(request.admission == Admission::kRoute);
  CHECK_TRUE(request.ack_later);
  CHECK_TRUE(request.hold == Hold::kExactlyOnce);
}

TEST(SqliteShard, qos2_of_a_clean_session_holds_the_deliveries_of_durable_ones) {
  const PublishOp request = ask(QoS::kExactlyOnce, true);
  CHECK_TRUE(request.ack_later);
  CHECK_TRUE(request.hold == Hold::kDurableExactlyOnce);
}

TEST(SqliteShard, retained_qos0_is_routed_and_nobody_waits) {
  const PublishOp request = ask(QoS::kAtMostOnce, false, false, true);
  CHECK_TRUE(request.admission == Admission::kRoute);
  CHECK_FALSE(request.ack_later);
}

TEST(SqliteShard, rule_memory_passes_through_and_keeps_no_retained_value) {
  add_rule("a/#", Durability::kMemory);
  CHECK_TRUE(ask(QoS::kExactlyOnce, true, true, true).admission == Admission::kPassThrough);
  CHECK_TRUE(ask(QoS::kExactlyOnce, true, true, true, "b").admission == Admission::kRoute);
  const Ref<const Message> value = message(64, "v", "a/b");
  shard->retained_event({"a/b", value.get(), 1});
  CHECK_TRUE(sent().empty());
}

TEST(SqliteShard, rule_batched_is_told_of_and_nobody_waits) {
  add_rule("a/#", Durability::kBatched);
  const PublishOp request = ask(QoS::kExactlyOnce, true, true);
  CHECK_TRUE(request.admission == Admission::kRoute);
  CHECK_FALSE(request.ack_later);
  CHECK_TRUE(request.hold == Hold::kNothing);
  shard->published({{1, 1}, {}, 0});
  shard->flush(1);
  const std::vector<Entry> entries = sent();
  CHECK_FALSE(entries.back().waits);
  CHECK_EQUAL(1U, entries.back().count);
}

TEST(SqliteShard, first_rule_that_matches_decides) {
  add_rule("a/keep", Durability::kFull);
  add_rule("a/#", Durability::kMemory);
  CHECK_TRUE(ask(QoS::kAtLeastOnce, true, false, false, "a/keep").ack_later);
  CHECK_FALSE(ask(QoS::kAtLeastOnce, true, false, false, "a/b").ack_later);
}

TEST(SqliteShard, everything_batched_waits_for_nothing) {
  make(Durability::kBatched);
  CHECK_FALSE(ask(QoS::kExactlyOnce, true, true).ack_later);
  SubscribeOp subscription;
  subscription.session_is_durable = true;
  shard->subscribe(subscription);
  CHECK_FALSE(subscription.ack_later);
  const SessionState state{.number = 4, .client_id = "c", .user_name = {}, .expiry_interval = 9};
  SessionEvent created{SessionEventKind::kCreated, state};
  shard->session_event(created);
  CHECK_FALSE(created.ack_later);
  shard->flush(1);
  for (const Entry& entry : sent()) CHECK_FALSE(entry.waits);
}

TEST(SqliteShard, session_that_is_created_resumed_or_ended_is_waited_for) {
  const SessionState state{.number = 4, .client_id = "c", .user_name = {}, .expiry_interval = 9};
  for (const auto& [kind, waits] :
       {std::pair(SessionEventKind::kCreated, true), std::pair(SessionEventKind::kResumed, true),
        std::pair(SessionEventKind::kDisconnected, false), std::pair(SessionEventKind::kWillTaken, false),
        std::pair(SessionEventKind::kReleased, true), std::pair(SessionEventKind::kEnded, true)}) {
    SessionEvent event{kind, state};
    shard->session_event(event);
    CHECK_EQUAL(waits, event.ack_later);
  }
  CHECK_EQUAL(6U, sent().size());
}

TEST(SqliteShard, session_that_is_not_durable_any_more_has_ended_for_the_disk) {
  const SessionState state{.number = 4, .client_id = "c", .user_name = {}, .expiry_interval = 0};
  SessionEvent created{SessionEventKind::kCreated, state};
  shard->session_event(created);
  CHECK_TRUE(sent().empty());
  SessionEvent resumed{SessionEventKind::kResumed, state};
  shard->session_event(resumed);
  CHECK_EQUAL(1U, sent().size());
  CHECK_TRUE(taken[0]->sessions[0].kind == SessionEventKind::kEnded);
}

TEST(SqliteShard, subscription_of_a_clean_session_is_granted_at_once) {
  SubscribeOp subscription;
  subscription.qos = QoS::kExactlyOnce;
  shard->subscribe(subscription);
  CHECK_TRUE(subscription.verdict == ReasonCode::kGrantedQoS2);
  CHECK_FALSE(subscription.ack_later);
  CHECK_TRUE(sent().empty());
}

TEST(SqliteShard, subscription_of_a_durable_session_is_kept_as_it_was_asked_for) {
  SubscribeOp subscription;
  subscription.session = 4;
  subscription.session_is_durable = true;
  subscription.filter = "$share/g/a/#";
  subscription.qos = QoS::kAtLeastOnce;
  subscription.options = 0x2D;
  subscription.identifier = 77;
  shard->subscribe(subscription);
  CHECK_TRUE(subscription.ack_later);
  CHECK_TRUE(sent()[0].waits);
  const SubscriptionEntry& kept = taken[0]->subscriptions[0];
  STRCMP_EQUAL("$share/g/a/#", kept.filter.c_str());
  CHECK_EQUAL(0x2D, kept.options);
  CHECK_EQUAL(77U, kept.identifier);
}

TEST(SqliteShard, qos2_delivery_waits_for_its_packet_identifier_and_for_pubrec) {
  const Ref<const Message> m = message(64);
  DeliveryEvent delivered{DeliveryEventKind::kDelivered, to(4, 1, *m, true, QoS::kExactlyOnce)};
  shard->delivery_event(delivered);
  CHECK_TRUE(delivered.ack_later);
  DeliveryEvent received{DeliveryEventKind::kReceived, to(4, 1, *m, true, QoS::kExactlyOnce)};
  received.delivery.message = nullptr;
  shard->delivery_event(received);
  CHECK_TRUE(received.ack_later);
  DeliveryEvent done{DeliveryEventKind::kAcknowledged, to(4, 1, *m, true, QoS::kExactlyOnce)};
  shard->delivery_event(done);
  CHECK_FALSE(done.ack_later);
  DeliveryEvent qos1{DeliveryEventKind::kDelivered, to(4, 2, *m)};
  shard->delivery_event(qos1);
  CHECK_FALSE(qos1.ack_later);
}

// ---- what is sent --------------------------------------------------------------------------------------------------

TEST(SqliteShard, only_what_belongs_on_disk_is_sent) {
  const Ref<const Message> m = message(64);
  const Ref<const Message> unnamed = message(0);
  const std::vector<Recipient> recipients{to(4, 1, *m), to(5, 2, *m, /*durable=*/false),
                                          to(6, 0, *m, true, QoS::kAtMostOnce), to(7, 3, *unnamed)};
  shard->recipients({{0, 9}, 1, recipients});
  const std::vector<Entry> entries = sent();
  CHECK_EQUAL(2U, entries.size());
  CHECK_EQUAL(1U, entries[0].count);
  CHECK_EQUAL(9U, entries[0].number);
  CHECK_EQUAL(4U, entries[1].session);
}

TEST(SqliteShard, details_of_a_delivery_survive_the_parcel) {
  const Ref<const Message> m = message(64);
  const std::vector<std::uint32_t> identifiers{1, 2, 300000};
  Recipient group = to(0, 0, *m);
  group.group = "$share/g/a";
  Recipient several = to(4, 1, *m);
  several.identifiers = identifiers;
  shard->recipients({{0, 1}, 1, std::vector<Recipient>{group, several}});
  const std::vector<Entry> entries = sent();
  std::vector<std::uint32_t> scratch;
  CHECK_TRUE(taken[0]->detail(entries[1], scratch).group == "$share/g/a");
  CHECK_TRUE(taken[0]->detail(entries[2], scratch).group.empty());
  CHECK_TRUE(scratch == identifiers);
}

TEST(SqliteShard, dedupe_rows_are_those_of_qos2_publishes_of_durable_sessions) {
  const Ref<const Message> qos1 = message(64);
  const Ref<const Message> qos2 = message(128, "x", "t", QoS::kExactlyOnce);
  const std::vector<Published> publishes{
      {qos1.get(), 3, true, 1}, {qos2.get(), 3, true, 2}, {qos2.get(), 4, false, 3}, {qos2.get(), 0, false, 0}};
  shard->published({{1, 5}, publishes, 2});
  const std::vector<Entry> entries = sent();
  CHECK_EQUAL(2U, entries.size());
  CHECK_EQUAL(1U, entries[0].count);
  CHECK_EQUAL(2U, entries[1].packet_id);
}

TEST(SqliteShard, parcels_are_used_again_and_hold_no_message) {
  const Ref<const Message> m = message(64);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    shard->recipients({{1, i}, 1, std::vector<Recipient>{to(4, i, *m)}});
    CHECK_EQUAL(2U, sent().size());
    const Parcel* parcel = taken[0].get();
    taken[0]->discarded.push_back(m);
    CHECK_FALSE(journal.give_back(taken, 0));
    notices.call(Notices::kEverybody);
    reactor.read_mail();
    shard->flush(i);
    CHECK_EQUAL(1U, sent().size());
    POINTERS_EQUAL(parcel, taken[0].get());
    CHECK_TRUE(taken[0]->discarded.empty());
    CHECK_FALSE(journal.give_back(taken, 0));
    notices.call(Notices::kEverybody);
    reactor.read_mail();
  }
}

// ---- what comes back -----------------------------------------------------------------------------------------------

TEST(SqliteShard, completions_come_with_one_post_however_many_there_are) {
  notices.set_complete(0, 5);
  notices.set_complete(1, 7);
  notices.call(Notices::kEverybody);
  notices.set_complete(1, 8);
  notices.call(Notices::kEverybody);
  CHECK_EQUAL(1U, reactor.read_mail());
  CHECK_EQUAL(5U, sink.complete[0]);
  CHECK_EQUAL(8U, sink.complete[1]);
}

TEST(SqliteShard, who_is_not_concerned_is_not_called) {
  notices.call(targets({0}));
  CHECK_EQUAL(0U, reactor.read_mail());
}

TEST(SqliteShard, too_much_that_waits_stops_publishers_until_half_of_it_is_gone) {
  const std::string large(300 * 1024, 'x');
  for (std::uint64_t i = 1; i <= 4; ++i) {
    const Ref<const Message> m = message(i * 64, large);
    shard->recipients({{1, i}, 1, std::vector<Recipient>{to(4, i, *m)}});
    shard->end_turn();
  }
  reactor.read_mail();
  CHECK_TRUE(sink.backlog == Backlog::kFull);
  journal.take(taken, std::chrono::steady_clock::now());
  CHECK_FALSE(journal.give_back(taken, 600 * 1024));  // the writer holds it still
  CHECK_TRUE(journal.is_full());
  CHECK_TRUE(journal.give_back(taken, 100 * 1024));
  notices.call(Notices::kEverybody);
  reactor.read_mail();
  CHECK_TRUE(sink.backlog == Backlog::kNone);
}

TEST(SqliteShard, trouble_is_told_and_its_end_too) {
  notices.set_trouble(ReasonCode::kQuotaExceeded);
  notices.call(Notices::kEverybody);
  reactor.read_mail();
  CHECK_TRUE(sink.trouble == ReasonCode::kQuotaExceeded);
  notices.set_trouble(ReasonCode::kSuccess);
  notices.call(Notices::kEverybody);
  reactor.read_mail();
  CHECK_TRUE(sink.trouble == ReasonCode::kSuccess);
}

TEST(SqliteShard, drain_waits_for_what_was_sent_and_then_hears_nothing) {
  shard->flush(1);
  std::thread writer([this] {
    Journal::Parcels parcels;
    while (parcels.empty()) journal.take(parcels, std::chrono::steady_clock::now() + 1h);
    notices.set_complete(1, 1);
    journal.settled();
  });
  shard->drain(1h);
  writer.join();
  CHECK_EQUAL(1U, sink.complete[1]);
  notices.set_complete(1, 2);
  notices.call(Notices::kEverybody);
  CHECK_EQUAL(0U, reactor.read_mail());
}

TEST(SqliteShard, drain_gives_up_at_its_deadline) {
  shard->flush(1);
  shard->drain(1ms);
  CHECK_EQUAL(0U, sink.complete.count(1));
}
