#include "plugins/publisher_sqlite/ledger.h"

#include <array>
#include <string>

#include "tests/unit/publisher_sqlite/ledger_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::publisher_sqlite;
using namespace mqloop::publisher_sqlite_test;

TEST_GROUP_BASE(Ledger, Utest), public LedgerFixture {
  Ref<const Message> m1 = message(64, "one");
  Ref<const Message> m2 = message(128, "two");

  // Session 5 has message m1 as its delivery 1, on disk.
  void keep_one(std::uint16_t packet_id = 0, QoS qos = QoS::kAtLeastOnce) {
    feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get(), packet_id, qos}}).flush(1));
    CHECK_TRUE(pass());
  }
};

// ---- turns ---------------------------------------------------------------------------------------------------------

TEST(Ledger, turn_is_complete_after_its_commit_and_not_before) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get()}}).flush(1));
  CHECK_TRUE(ledger.must_write());
  tell();
  CHECK_EQUAL(0U, complete.count(0));
  CHECK_TRUE(write());
  tell();
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, database().deliveries.size());
  STRCMP_EQUAL("one", database().messages.at(64).c_str());
}

TEST(Ledger, turn_without_anything_to_keep_is_complete_without_a_transaction) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {}).flush(1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_FALSE(ledger.has_changes());
}

TEST(Ledger, turn_waits_for_the_block_of_every_target_however_they_come) {
  feed(Script(2).block(0, 1, {{9, 1, m1.get()}}));  // before anybody has said that there is such a turn
  feed(Script(0).source(1, targets({0, 1, 2})).block(0, 1, {{5, 1, m1.get()}}).flush(1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(0U, complete.count(0));
  feed(Script(1).block(0, 1, {}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(targets({0, 1, 2}), called);
  CHECK_EQUAL(2U, database().deliveries.size());
  CHECK_EQUAL(1U, database().messages.size());
}

TEST(Ledger, turns_of_a_source_become_durable_in_their_order) {
  feed(Script(0).source(1, targets({0, 1})).block(0, 1, {}).flush(1));
  feed(Script(0).source(2, targets({0})).block(0, 2, {{5, 2, m2.get()}}).flush(2));
  feed(Script(1).block(0, 3, {{9, 3, m2.get()}}));
  CHECK_FALSE(pass());
  CHECK_EQUAL(0U, complete.count(0));
  feed(Script(1).block(0, 1, {{9, 1, m1.get()}}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, complete[0]);
  CHECK_EQUAL(2U, database().deliveries.size());  // turn 3 is not whole
}

TEST(Ledger, block_that_comes_turns_later_belongs_to_its_turn) {
  feed(Script(0).source(1, targets({0})).flush(1));
  feed(Script(0).source(2, targets({0})).block(0, 2, {{5, 2, m2.get()}}).flush(2));
  CHECK_FALSE(pass());
  feed(Script(0).block(0, 1, {{5, 1, m1.get()}}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, complete[0]);
}

TEST(Ledger, sources_do_not_wait_for_each_other) {
  feed(Script(0).source(1, targets({0, 1})).block(0, 1, {}).flush(1));
  feed(Script(1).source(1, targets({1})).block(1, 1, {{9, 1, m1.get()}}).flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(0U, complete.count(0));
  CHECK_EQUAL(1U, complete[1]);
}

TEST(Ledger, events_are_part_of_their_turn) {
  feed(Script(0).session(SessionEventKind::kCreated, 5, "c"));
  CHECK_FALSE(ledger.must_write());  // its turn goes on
  feed(Script(0).subscribe(5, "a/#").flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, database().sessions.size());
  CHECK_EQUAL(1U, database().subscriptions.size());
}

TEST(Ledger, will_is_gone_with_its_message_and_not_before) {
  feed(Script(0).session(SessionEventKind::kCreated, 5, "c").flush(1));
  pass();
  CHECK_TRUE(database().sessions.at(5).connected);
  feed(Script(0)
           .session(SessionEventKind::kWillTaken, 5, "c", false)
           .source(2, targets({0, 1}))
           .block(0, 2, {})
           .flush(2));
  feed(Script(0).subscribe(5, "a").flush(3));
  write_all();
  CHECK_TRUE(database().sessions.at(5).connected);  // all of it as before, and what came behind it
  CHECK_EQUAL(0U, database().subscriptions.size());
  feed(Script(1).block(0, 2, {{9, 1, m1.get()}}));
  CHECK_TRUE(pass());
  CHECK_FALSE(database().sessions.at(5).connected);
  CHECK_EQUAL(1U, database().subscriptions.size());
  CHECK_EQUAL(1U, database().deliveries.size());
  CHECK_EQUAL(3U, complete[0]);
}

TEST(Ledger, what_nobody_waits_for_rides_along) {
  keep_one(7);
  feed(Script(0).acknowledged({5, 1, m1.get()}).flush(2));
  CHECK_FALSE(pass());
  CHECK_EQUAL(2U, complete[0]);
  CHECK_TRUE(ledger.has_changes());
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(0U, database().messages.size());
}

TEST(Ledger, batched_turn_is_complete_at_once_and_written_with_the_next_batch) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get()}}).flush(1, /*waits=*/false, 1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, ledger.acknowledged_early());
  feed(Script(0).source(2, targets({0})).block(0, 2, {{5, 2, m2.get()}}).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, database().deliveries.size());
  CHECK_EQUAL(0U, ledger.acknowledged_early());
}

// ---- elision -------------------------------------------------------------------------------------------------------

TEST(Ledger, what_is_acknowledged_before_it_is_written_is_never_written) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get(), 7}}).flush(1).acknowledged({5, 1, m1.get(), 7}));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, ledger.counts().elided);
  CHECK_FALSE(ledger.has_changes());
  CHECK_EQUAL(0U, ledger.messages());
  CHECK_EQUAL(0U, rows.rows);
}

TEST(Ledger, elision_of_one_recipient_leaves_the_others) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get(), 7}, {6, 2, m1.get()}}).flush(1));
  feed(Script(0).acknowledged({5, 1, m1.get(), 7}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().deliveries.size());
  CHECK_EQUAL(1U, database().messages.size());
  write_all();
  CHECK_EQUAL(1U, database().messages.size());
}

TEST(Ledger, recipient_that_acknowledges_while_the_turn_gathers_is_not_written) {
  feed(Script(0).source(1, targets({0, 1})).block(0, 1, {{5, 1, m1.get(), 7}}).flush(1));
  feed(Script(0).acknowledged({5, 1, m1.get(), 7}).flush(2));
  CHECK_FALSE(pass());
  feed(Script(1).block(0, 1, {}));
  CHECK_FALSE(pass());
  CHECK_EQUAL(2U, complete[0]);
  CHECK_EQUAL(0U, ledger.bytes());
}

TEST(Ledger, batch_that_failed_and_was_acknowledged_meanwhile_is_not_written_again) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get(), 7}}).flush(1));
  rows.fails_at = 1;
  CHECK_FALSE(write());
  tell();
  CHECK_EQUAL(0U, complete.count(0));
  rows.fails_at = std::nullopt;
  feed(Script(0).acknowledged({5, 1, m1.get(), 7}));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(0U, ledger.messages());
}

TEST(Ledger, many_elided_deliveries_hold_no_memory) {
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    const Ref<const Message> m = message(i * 64);
    feed(Script(0).source(i, targets({0})).block(0, i, {{5, i, m.get(), 7}}).flush(i));
    feed(Script(0).acknowledged({5, i, m.get(), 7}));
    CHECK_FALSE(pass());
  }
  CHECK_EQUAL(5000U, complete[0]);
  CHECK_EQUAL(5000U, ledger.counts().elided);
  CHECK_TRUE(ledger.bytes() < 1024 * 1024);
}

// ---- messages ------------------------------------------------------------------------------------------------------

TEST(Ledger, message_row_goes_with_its_last_recipient) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get()}, {6, 2, m1.get()}}).flush(1));
  pass();
  feed(Script(0).acknowledged({5, 1, m1.get()}));
  write_all();
  CHECK_EQUAL(1U, database().messages.size());
  feed(Script(0).acknowledged({6, 2, m1.get()}));
  write_all();
  CHECK_EQUAL(0U, database().messages.size());
  CHECK_EQUAL(0U, ledger.messages());
}

TEST(Ledger, message_that_is_there_already_is_counted_and_not_written_twice) {
  keep_one();
  const std::uint64_t inserted = ledger.counts().messages;
  feed(Script(0).source(2, targets({0})).block(0, 2, {{6, 2, m1.get()}}).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(inserted, ledger.counts().messages);
  feed(Script(0).acknowledged({5, 1, m1.get()}));
  write_all();
  CHECK_EQUAL(1U, database().messages.size());
}

TEST(Ledger, message_wanted_again_before_its_row_is_removed_keeps_it) {
  keep_one();
  feed(Script(0).acknowledged({5, 1, m1.get()}));
  feed(Script(0).source(2, targets({0})).block(0, 2, {{6, 2, m1.get()}}).flush(2));
  CHECK_TRUE(pass());
  write_all();
  CHECK_EQUAL(1U, database().messages.size());
  CHECK_EQUAL(1U, database().deliveries.size());
}

TEST(Ledger, message_that_was_gone_is_written_anew) {
  keep_one();
  feed(Script(0).acknowledged({5, 1, m1.get()}));
  write_all();
  feed(Script(0).source(2, targets({0})).block(0, 2, {{6, 2, m1.get()}}).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().messages.size());
}

TEST(Ledger, delivery_that_never_was_takes_no_message_along) {
  keep_one();
  feed(Script(0).acknowledged({6, 77, m1.get()}));
  write_all();
  CHECK_EQUAL(1U, database().messages.size());
}

TEST(Ledger, recovered_messages_go_with_their_last_recipient) {
  rows.now.messages[64] = "one";
  rows.now.deliveries[{5, 1}] = {64, QoS::kAtLeastOnce, false, 0, {}, {}};
  rows.now.deliveries[{6, 1}] = {64, QoS::kAtLeastOnce, false, 0, {}, {}};
  rows.commit();
  store::Recovered recovered;
  recovered.messages = {{64, 2}};
  ledger.adopt(recovered);
  feed(Script(0).acknowledged({5, 1, m1.get()}));
  write_all();
  CHECK_EQUAL(1U, database().messages.size());
  feed(Script(0).acknowledged({6, 1, m1.get()}));
  write_all();
  CHECK_EQUAL(0U, database().messages.size());
}

TEST(Ledger, message_without_a_number_is_not_kept) {
  const Ref<const Message> unnamed = message(0);
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, unnamed.get()}}).flush(1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
}

// ---- packet identifiers and QoS 2 ----------------------------------------------------------------------------------

TEST(Ledger, packet_id_of_a_pending_delivery_is_written_with_it) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get()}}).flush(1));
  feed(Script(0).delivered({5, 1, m1.get(), 9}, false));
  CHECK_TRUE(pass());
  CHECK_EQUAL(9U, database().deliveries.at({5, 1}).packet_id);
}

TEST(Ledger, qos2_packet_id_of_a_kept_delivery_is_waited_for) {
  keep_one(0, QoS::kExactlyOnce);
  feed(Script(0).delivered({5, 1, m1.get(), 9, QoS::kExactlyOnce}, true).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, complete[0]);
  CHECK_EQUAL(9U, database().deliveries.at({5, 1}).packet_id);
}

TEST(Ledger, event_on_a_gathering_turn_is_complete_only_with_it) {
  feed(Script(0).source(1, targets({0, 1, 2})).block(0, 1, {}).flush(1));
  feed(Script(1).block(0, 1, {{9, 1, m1.get(), 0, QoS::kExactlyOnce}}));
  feed(Script(1).delivered({9, 1, m1.get(), 3, QoS::kExactlyOnce}, true).flush(1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(0U, complete.count(1));
  feed(Script(2).block(0, 1, {}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, complete[1]);
  CHECK_EQUAL(3U, database().deliveries.at({9, 1}).packet_id);
}

TEST(Ledger, turns_that_wait_for_each_others_events_do_not_stop) {
  // 0/1 gathers, an event of 1/1 is about it; 1/2 gathers, an event of 0/1 is about it.
  const Ref<const Message> other = message(65);
  feed(Script(0).block(1, 2, {{4, 1, other.get(), 0, QoS::kExactlyOnce}}));
  feed(Script(0).delivered({4, 1, other.get(), 3, QoS::kExactlyOnce}, true));
  feed(Script(0).source(1, targets({1})).flush(1));
  feed(Script(1).block(0, 1, {{9, 1, m1.get(), 0, QoS::kExactlyOnce}}));
  feed(Script(1).delivered({9, 1, m1.get(), 3, QoS::kExactlyOnce}, true).flush(1));
  feed(Script(1).source(2, targets({0})).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(2U, complete[1]);
}

TEST(Ledger, pubrec_lets_the_message_go_and_keeps_the_delivery) {
  keep_one(7, QoS::kExactlyOnce);
  feed(Script(0).received({5, 1, nullptr, 7, QoS::kExactlyOnce}).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, complete[0]);
  CHECK_TRUE(database().deliveries.at({5, 1}).received);
  CHECK_EQUAL(0U, database().messages.size());
  feed(Script(0).acknowledged({5, 1, nullptr, 7, QoS::kExactlyOnce}).flush(3));
  CHECK_FALSE(pass());
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
}

TEST(Ledger, pubrec_and_pubcomp_in_one_batch_remove_the_row_and_the_message) {
  keep_one(7, QoS::kExactlyOnce);
  feed(Script(0).received({5, 1, nullptr, 7, QoS::kExactlyOnce}));
  feed(Script(0).acknowledged({5, 1, nullptr, 7, QoS::kExactlyOnce}).flush(2));
  pass();
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(0U, database().messages.size());
  CHECK_EQUAL(0U, ledger.messages());
}

TEST(Ledger, pubrec_before_the_batch_is_written_keeps_the_delivery_without_the_message) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get(), 7, QoS::kExactlyOnce}}).flush(1));
  feed(Script(0).received({5, 1, nullptr, 7, QoS::kExactlyOnce}));
  CHECK_TRUE(pass());
  CHECK_TRUE(database().deliveries.at({5, 1}).received);
  CHECK_EQUAL(0U, database().messages.size());
}

TEST(Ledger, received_identifier_is_on_disk_with_its_message_and_gone_before_pubcomp) {
  feed(Script(0).source(1, targets({0}), {{3, 11}}).block(0, 1, {{5, 1, m1.get()}}).flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().received.size());
  feed(Script(0).released(3, 11).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, complete[0]);
  CHECK_EQUAL(0U, database().received.size());
}

TEST(Ledger, received_identifier_is_not_on_disk_before_its_message) {
  feed(Script(0).source(1, targets({0, 1}), {{3, 11}}).block(0, 1, {}).flush(1));
  feed(Script(1).session(SessionEventKind::kCreated, 8, "c").flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(0U, database().received.size());
}

TEST(Ledger, received_identifier_that_comes_and_goes_in_a_batch_is_not_written) {
  feed(Script(0).source(1, targets({0}), {{3, 11}}).block(0, 1, {}).flush(1));
  feed(Script(0).released(3, 11).flush(2));
  CHECK_FALSE(pass());
  CHECK_EQUAL(2U, complete[0]);
  write_all();
  CHECK_EQUAL(0U, database().received.size());
}

TEST(Ledger, received_identifier_that_is_used_again_in_a_batch_is_there) {
  feed(Script(0).source(1, targets({0}), {{3, 11}}).block(0, 1, {}).flush(1));
  pass();
  feed(Script(0).released(3, 11).source(2, targets({0}), {{3, 11}}).block(0, 2, {}).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().received.size());
}

TEST(Ledger, subscription_identifiers_are_kept) {
  const std::array<std::uint32_t, 2> several{3, 500000};
  To to{5, 1, m1.get()};
  to.identifiers = several;
  feed(Script(0).source(1, targets({0})).block(0, 1, {to}).flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, database().deliveries.at({5, 1}).identifiers.size());
  CHECK_EQUAL(500000U, database().deliveries.at({5, 1}).identifiers[1]);
}

// ---- sessions ------------------------------------------------------------------------------------------------------

TEST(Ledger, session_and_its_subscriptions_are_written_in_their_order) {
  feed(Script(0)
           .session(SessionEventKind::kCreated, 5, "c")
           .subscribe(5, "a")
           .subscribe(5, "b")
           .subscribe(5, "a", true)
           .flush(1));
  CHECK_TRUE(pass());
  STRCMP_EQUAL("c", database().sessions.at(5).client_id.c_str());
  CHECK_EQUAL(1U, database().subscriptions.size());
  CHECK_EQUAL(1U, database().subscriptions.count({5, "b"}));
}

TEST(Ledger, recipients_of_a_session_that_ended_meanwhile_are_skipped) {
  feed(Script(0).session(SessionEventKind::kCreated, 5, "c"));
  feed(Script(0).source(1, targets({0, 1})).block(0, 1, {{5, 1, m1.get()}}).flush(1));
  feed(Script(0).session(SessionEventKind::kEnded, 5).flush(2));
  CHECK_FALSE(pass());
  feed(Script(1).block(0, 1, {}));
  pass();
  write_all();
  CHECK_EQUAL(2U, complete[0]);
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(0U, database().messages.size());
  CHECK_EQUAL(0U, ledger.messages());
}

TEST(Ledger, recipients_in_the_batch_of_a_session_that_ends_are_skipped) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 1, m1.get()}, {6, 2, m1.get()}}).flush(1));
  feed(Script(0).session(SessionEventKind::kEnded, 5).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().deliveries.size());
  CHECK_EQUAL(1U, database().messages.size());
}

TEST(Ledger, ended_session_is_one_small_row_and_swept_in_slices) {
  feed(Script(0).session(SessionEventKind::kCreated, 5, "c").flush(1));
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const Ref<const Message> m = message(i * 64);
    feed(Script(0).source(i + 1, targets({0})).block(0, i + 1, {{5, i, m.get()}}).flush(i + 1));
  }
  pass();
  CHECK_EQUAL(100U, database().messages.size());
  rows.sweep_budget = 40;
  feed(Script(0).session(SessionEventKind::kEnded, 5).flush(102));
  CHECK_TRUE(pass());
  CHECK_EQUAL(102U, complete[0]);
  CHECK_EQUAL(0U, database().sessions.size());
  CHECK_EQUAL(60U, database().deliveries.size());
  CHECK_TRUE(ledger.is_sweeping());
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(0U, database().messages.size());
  CHECK_EQUAL(0U, ledger.messages());
}

TEST(Ledger, sweep_that_was_rolled_back_is_done_again) {
  keep_one();
  feed(Script(0).session(SessionEventKind::kCreated, 5, "c").flush(2));
  pass();
  feed(Script(0).session(SessionEventKind::kEnded, 5).flush(3));
  rows.fails_at = 2;  // the last row: progress
  CHECK_FALSE(write());
  rows.fails_at = std::nullopt;
  CHECK_TRUE(pass());
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(0U, database().messages.size());
  CHECK_EQUAL(0U, ledger.messages());
}

// ---- groups --------------------------------------------------------------------------------------------------------

TEST(Ledger, message_is_the_groups_until_a_member_has_it) {
  const To group{0, 0, m1.get(), 0, QoS::kAtLeastOnce, "$share/g/t"};
  feed(Script(0).source(1, targets({0})).block(0, 1, {group}).flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().shared.count({"$share/g/t", 64}));
  feed(Script(1).delivered({9, 4, m1.get(), 7, QoS::kAtLeastOnce, "$share/g/t"}, false).flush(1));
  write_all();
  CHECK_EQUAL(0U, database().shared.size());
  STRCMP_EQUAL("$share/g/t", database().deliveries.at({9, 4}).group.c_str());
  CHECK_EQUAL(1U, database().messages.size());
  feed(Script(1).acknowledged({9, 4, m1.get(), 7}));
  write_all();
  CHECK_EQUAL(0U, database().messages.size());
}

TEST(Ledger, member_that_has_it_before_the_batch_is_written_instead_of_the_group) {
  feed(Script(0)
           .source(1, targets({0, 2}))
           .block(0, 1, {{0, 0, m1.get(), 0, QoS::kExactlyOnce, "$share/g/t"}})
           .flush(1));
  feed(Script(1).delivered({9, 4, m1.get(), 7, QoS::kExactlyOnce, "$share/g/t"}, true).flush(1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(0U, complete.count(1));  // the packet identifier is not on disk
  feed(Script(2).block(0, 1, {}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, complete[1]);
  CHECK_EQUAL(0U, database().shared.size());
  CHECK_EQUAL(7U, database().deliveries.at({9, 4}).packet_id);
}

TEST(Ledger, returned_message_is_the_groups_again) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{0, 0, m1.get(), 0, QoS::kAtLeastOnce, "$share/g/t"}}).flush(1));
  feed(Script(1).delivered({9, 4, m1.get(), 7, QoS::kAtLeastOnce, "$share/g/t"}, false));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().deliveries.size());
  feed(Script(1)
           .returned({9, 4, m1.get(), 7, QoS::kAtLeastOnce, "$share/g/t"})
           .session(SessionEventKind::kEnded, 9)
           .flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(1U, database().shared.size());
  CHECK_EQUAL(1U, database().messages.size());
  feed(Script(0).group_done({0, 0, m1.get(), 0, QoS::kAtLeastOnce, "$share/g/t"}));
  write_all();
  CHECK_EQUAL(0U, database().shared.size());
  CHECK_EQUAL(0U, database().messages.size());
}

TEST(Ledger, group_that_is_done_before_the_batch_is_not_written) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{0, 0, m1.get(), 0, QoS::kAtLeastOnce, "$share/g/t"}}).flush(1));
  feed(Script(0).group_done({0, 0, m1.get(), 0, QoS::kAtLeastOnce, "$share/g/t"}));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(0U, ledger.messages());
}

// ---- what is written with every batch, and what fails --------------------------------------------------------------

TEST(Ledger, highest_numbers_are_kept_with_each_batch) {
  feed(Script(0).source(1, targets({0})).block(0, 1, {{5, 17, m2.get()}}).retained(9, *message(64, "v", "a")).flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(5U, database().progress.numbers.session);
  CHECK_EQUAL(17U, database().progress.numbers.delivery);
  CHECK_EQUAL(128U, database().progress.numbers.message);
  CHECK_EQUAL(9U, database().progress.numbers.retained);
  CHECK_EQUAL(1U, database().progress.batch);
}

TEST(Ledger, batch_that_fails_at_any_row_is_written_whole_later) {
  const auto life = [this] {
    keep_one(7, QoS::kExactlyOnce);
    feed(Script(0).session(SessionEventKind::kCreated, 6, "c").subscribe(6, "a").flush(2));
    feed(Script(0).received({5, 1, nullptr, 7, QoS::kExactlyOnce}));
    feed(Script(0).source(3, targets({0}), {{6, 11}}).block(0, 3, {{5, 2, m2.get()}, {6, 3, m2.get()}}).flush(3));
    feed(Script(0).retained(1, *message(192, "v", "r")).session(SessionEventKind::kEnded, 6).flush(4));
  };
  life();
  rows.fails_at = std::nullopt;
  bool failed = true;
  std::uint64_t n = 0;
  for (; failed && n < 100; ++n) {
    rows.fails_at = n;
    failed = !write();
    tell();
    CHECK_EQUAL(failed ? 1U : 4U, complete[0]);
  }
  CHECK_TRUE(n > 10);
  rows.fails_at = std::nullopt;
  write_all();
  CHECK_EQUAL(2U, database().deliveries.size());
  CHECK_EQUAL(1U, database().messages.size());
  CHECK_EQUAL(0U, database().received.size());
  CHECK_EQUAL(1U, database().retained.size());
  CHECK_EQUAL(1U, ledger.messages());
}
