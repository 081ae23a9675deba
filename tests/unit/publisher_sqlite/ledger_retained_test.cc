// What the ledger does with retained messages, and with what is replayed of them.
#include "tests/unit/publisher_sqlite/ledger_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::publisher_sqlite_test;

TEST_GROUP_BASE(LedgerRetained, Utest), public LedgerFixture{};

TEST(LedgerRetained, last_value_of_a_topic_in_a_batch_is_written_alone) {
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    feed(Script(0).retained(i, *message(i * 64, std::to_string(i), "a")).flush(i));
  }
  CHECK_TRUE(pass());
  STRCMP_EQUAL("1000", database().retained.at("a").c_str());
  CHECK_EQUAL(999U, ledger.coalesced());
  CHECK_EQUAL(1U, ledger.counts().rows);
  CHECK_EQUAL(1000U, complete[0]);
}

TEST(LedgerRetained, value_with_the_highest_sequence_stays_whoever_tells_first) {
  feed(Script(1).retained(6, *message(65, "new", "a")).flush(1));
  feed(Script(0).retained(5, *message(64, "old", "a")).flush(1));
  CHECK_TRUE(pass());
  STRCMP_EQUAL("new", database().retained.at("a").c_str());
  feed(Script(0).retained(4, *message(128, "older", "a")).flush(2));
  CHECK_FALSE(pass());
  CHECK_EQUAL(2U, complete[0]);
  STRCMP_EQUAL("new", database().retained.at("a").c_str());
}

TEST(LedgerRetained, value_that_was_cleared_does_not_come_back_by_an_older_one) {
  feed(Script(0).retained(1, *message(64, "v", "a")).flush(1));
  pass();
  feed(Script(1).cleared(3, "a").flush(1));
  CHECK_TRUE(pass());
  feed(Script(0).retained(2, *message(128, "older", "a")).flush(2));
  pass();
  write_all();
  CHECK_EQUAL(0U, database().retained.size());
}

TEST(LedgerRetained, value_is_written_with_the_identifier_of_its_publish_and_not_before) {
  feed(Script(0).retained(1, *message(64, "v", "a", QoS::kExactlyOnce)).source(1, targets({1}), {{5, 7}}, 64).flush(1));
  write_all();
  CHECK_EQUAL(0U, database().retained.size());
  CHECK_TRUE(ledger.bytes() != 0);
  feed(Script(1).block(0, 1, {}));
  CHECK_TRUE(pass());
  STRCMP_EQUAL("v", database().retained.at("a").c_str());
  CHECK_EQUAL(1U, database().received.size());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(0U, ledger.bytes());
}

TEST(LedgerRetained, value_that_is_replayed_elsewhere_is_kept_with_its_publish_and_not_before) {
  const Ref<const Message> value = message(64, "v", "a", QoS::kExactlyOnce);
  // Reactor 1 is quicker to tell of the replay than reactor 0 of what was published.
  feed(Script(1).source(1, targets({1})).block(1, 1, {{9, 1, value.get(), 0, QoS::kExactlyOnce}}).flush(1));
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  feed(Script(0).retained(1, *value).source(1, targets({2}), {{5, 7}}, 64).flush(1));
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  CHECK_EQUAL(0U, complete[1]);
  feed(Script(2).block(0, 1, {}));
  CHECK_TRUE(pass());
  CHECK_EQUAL(1U, database().deliveries.size());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, complete[1]);
  // From now on it is known.
  feed(Script(1).source(2, targets({1})).block(1, 2, {{10, 2, value.get(), 0, QoS::kExactlyOnce}}).flush(2));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, complete[1]);
}

TEST(LedgerRetained, turns_that_replay_each_others_values_are_written_together) {
  const Ref<const Message> first = message(64, "v", "a", QoS::kExactlyOnce);
  const Ref<const Message> second = message(65, "w", "b", QoS::kExactlyOnce);
  feed(Script(0)
           .retained(1, *first)
           .source(1, targets({0}), {{5, 7}}, 64)
           .block(0, 1, {{8, 1, second.get(), 0, QoS::kExactlyOnce}})
           .flush(1));
  write_all();
  CHECK_EQUAL(0U, database().deliveries.size());
  feed(Script(1)
           .retained(2, *second)
           .source(1, targets({1}), {{6, 7}}, 65)
           .block(1, 1, {{9, 2, first.get(), 0, QoS::kExactlyOnce}})
           .flush(1));
  CHECK_TRUE(pass());
  CHECK_EQUAL(2U, database().deliveries.size());
  CHECK_EQUAL(2U, database().retained.size());
  CHECK_EQUAL(2U, database().received.size());
  CHECK_EQUAL(1U, complete[0]);
  CHECK_EQUAL(1U, complete[1]);
}

TEST(LedgerRetained, nobody_waits_for_a_retained_value_of_qos_0) {
  feed(Script(0).retained(1, *message(0, "v", "a", QoS::kAtMostOnce), false).flush(1));
  CHECK_FALSE(pass());
  CHECK_EQUAL(1U, complete[0]);
  write_all();
  STRCMP_EQUAL("v", database().retained.at("a").c_str());
}
