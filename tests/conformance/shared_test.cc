// Shared subscriptions whatever publisher the broker runs with: what members may expect, and what the publisher is told
// of each message that a group has (see Witness), from the block that names the group to the last event.
#include <algorithm>
#include <string>
#include <vector>

#include "core/broker/shard.h"
#include "tests/conformance/bench.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;               // NOLINT(google-build-using-namespace)
using namespace mqloop::conformance;  // NOLINT(google-build-using-namespace)

namespace {

const std::string kShared = "$share/g/t/#";

// The reactor that a session lives on; it tells of the session.
// Seconds: a session that outlives its connection, of which every publisher is told.
constexpr std::uint32_t kLong = 3600;

std::uint32_t home_of(Bench& bench, const std::string& id) {
  std::uint32_t home = 0;
  while (bench.broker().broker().shard(home).sessions().find(id) == nullptr) ++home;
  return home;
}

std::uint32_t owner_of(Bench& bench) {
  std::uint32_t owner = 0;
  while (bench.broker().broker().shard(owner).shared_groups().size() == 0) ++owner;
  return owner;
}

// `words`, with the completion of a turn in its place where the message is held.
void check_told(Bench& bench, const std::string& payload, const std::string& words) {
  if (bench.passthrough()) {
    STRCMP_EQUAL("", bench.witness().told(payload, kShared).c_str());
    return;
  }
  const std::string given = bench.witness().was_held(payload) ? "given complete " : "given ";
  STRCMP_EQUAL_TEXT((given + words).c_str(), bench.witness().told(payload, kShared).c_str(), payload.c_str());
}

void publish_all(Bench& bench, Bench::Guest& publisher, const std::vector<std::string>& payloads, QoS qos) {
  const std::size_t before = publisher.ear.acknowledged.size();
  for (const std::string& payload : payloads) bench.publish(publisher, "t/1", payload, qos);
  if (qos == QoS::kAtMostOnce) return;
  bench.until([&] { return publisher.ear.acknowledged.size() == before + payloads.size(); }, "acknowledgements");
}

}  // namespace

TEST_GROUP(SharedConformance){};

TEST(SharedConformance, each_message_reaches_one_member_and_each_member_in_their_order) {
  for (const QoS qos : {QoS::kAtMostOnce, QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for_each_seed([qos](Bench& bench) {
      std::vector<Bench::Guest*> members;
      for (int i = 0; i != 5; ++i) {
        members.push_back(&bench.connected("member-" + std::to_string(i)));
        bench.subscribe(*members.back(), kShared, qos);
      }
      auto& publisher = bench.connected("publisher");
      for (const std::string& payload : numbered(30)) bench.publish(publisher, "t/1", payload, qos);
      bench.calm();
      std::vector<int> got;
      for (const Bench::Guest* member : members) {
        std::vector<int> own;
        for (const std::string& payload : member->ear.payloads()) own.push_back(std::stoi(payload));
        CHECK(!own.empty());
        CHECK(std::is_sorted(own.begin(), own.end()));  // what hash_topic builds on
        got.insert(got.end(), own.begin(), own.end());
      }
      std::sort(got.begin(), got.end());
      LONGS_EQUAL(30, got.size());
      for (int i = 0; i != 30; ++i) LONGS_EQUAL(i, got[static_cast<std::size_t>(i)]);
    });
  }
}

TEST(SharedConformance, the_owner_names_the_group_and_the_members_home_tells_who_got_it) {
  for (const QoS qos : {QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for_each_seed([qos](Bench& bench) {
      auto& member = bench.connected("member", kLong);
      bench.subscribe(member, kShared, qos);
      const std::uint32_t owner = owner_of(bench);
      const std::uint32_t home = home_of(bench, "member");
      auto& publisher = bench.connected("publisher");
      publish_all(bench, publisher, numbered(10), qos);
      bench.until([&] { return member.ear.messages.size() == 10; }, "10 messages");
      bench.calm();
      for (const std::string& payload : numbered(10)) {
        check_told(bench, payload, "delivered acknowledged ");
        for (const Witness::Word& word : bench.witness().story(payload, kShared)) {
          LONGS_EQUAL(word.session == 0 ? owner : home, word.reactor);
        }
      }
    });
  }
}

TEST(SharedConformance, a_held_message_comes_to_no_member_before_its_turn_is_complete) {
  for_each_seed([](Bench& bench) {
    auto& member = bench.connected("member", kLong);
    bench.subscribe(member, kShared, QoS::kAtLeastOnce);
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(40)) {
      bench.publish(publisher, "t/1", payload, QoS::kAtLeastOnce);
      bench.until(
          [&] {
            const bool here = !member.ear.messages.empty() && member.ear.messages.back().payload == payload;
            const std::string told = bench.witness().told(payload, kShared);
            if (here && bench.witness().was_held(payload)) CHECK(told.starts_with("given complete delivered "));
            return here;
          },
          "the message");
    }
    bench.calm();
    for (const std::string& payload : numbered(40)) check_told(bench, payload, "delivered acknowledged ");
  });
}

TEST(SharedConformance, what_comes_while_all_are_away_waits_for_a_member_and_is_the_groups_until_then) {
  for_each_seed([](Bench& bench) {
    auto& away = bench.connected("away", kLong);
    bench.subscribe(away, kShared, QoS::kExactlyOnce);
    away.client.disconnect();
    bench.calm();
    auto& publisher = bench.connected("publisher");
    publish_all(bench, publisher, numbered(10), QoS::kAtLeastOnce);
    bench.calm();
    for (const std::string& payload : numbered(10)) check_told(bench, payload, "");
    bench.connect(away, kLong, false);
    CHECK(away.ear.session_present);
    bench.until([&] { return away.ear.messages.size() == 10; }, "what waited");
    bench.calm();
    check_same(numbered(10), away.ear.payloads());
    for (const std::string& payload : numbered(10)) check_told(bench, payload, "delivered acknowledged ");
  });
}

TEST(SharedConformance, the_group_has_back_what_a_session_ends_without_acknowledging) {  // [MQTT-4.8.2-5]
  for_each_seed([](Bench& bench) {
    auto& quiet = bench.connected("quiet", kLong);
    quiet.client.delay_acks(true);
    bench.subscribe(quiet, kShared, QoS::kAtLeastOnce);
    auto& publisher = bench.connected("publisher");
    publish_all(bench, publisher, numbered(5), QoS::kAtLeastOnce);
    bench.until([&] { return quiet.ear.messages.size() == 5; }, "5 messages");
    auto& other = bench.connected("other", kLong);
    bench.subscribe(other, kShared, QoS::kAtLeastOnce);
    quiet.client.disconnect(ReasonCode::kNormalDisconnection, 0);
    bench.until([&] { return other.ear.messages.size() == 5; }, "the same 5");
    bench.calm();
    for (const std::string& payload : numbered(5)) {
      check_told(bench, payload, "delivered returned delivered acknowledged ");
    }
  });
}

TEST(SharedConformance, qos_2_once_sent_is_nobodys_when_the_session_ends) {  // [MQTT-4.8.2-5]
  for_each_seed([](Bench& bench) {
    auto& quiet = bench.connected("quiet", kLong);
    quiet.client.delay_acks(true);
    bench.subscribe(quiet, kShared, QoS::kExactlyOnce);
    auto& publisher = bench.connected("publisher");
    publish_all(bench, publisher, numbered(5), QoS::kExactlyOnce);
    bench.until([&] { return quiet.ear.messages.size() == 5; }, "5 messages");
    auto& other = bench.connected("other", kLong);
    bench.subscribe(other, kShared, QoS::kExactlyOnce);
    quiet.client.disconnect(ReasonCode::kNormalDisconnection, 0);
    bench.calm();
    LONGS_EQUAL(0, other.ear.messages.size());
    for (const std::string& payload : numbered(5)) check_told(bench, payload, "delivered ");
  });
}

TEST(SharedConformance, a_message_that_needs_nobodys_care_any_more_is_done) {
  for_each_seed([](Bench& bench) {
    auto& member = bench.connected("member", 3600);
    bench.subscribe(member, kShared, QoS::kAtMostOnce);
    auto& publisher = bench.connected("publisher");
    publish_all(bench, publisher, {"sent"}, QoS::kAtLeastOnce);  // with QoS 0
    bench.until([&] { return member.ear.messages.size() == 1; }, "the message");
    member.client.disconnect();
    bench.calm();
    publish_all(bench, publisher, {"dropped"}, QoS::kAtLeastOnce);
    bench.calm();
    check_told(bench, "sent", "done ");
    check_told(bench, "dropped", "done ");
  });
}
