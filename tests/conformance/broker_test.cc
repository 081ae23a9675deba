// What a broker's clients may expect whatever publisher it runs with: every statement here is asked of a whole broker
// with two reactors on simulated time and network, for several seeds each.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/conformance/bench.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;               // NOLINT(google-build-using-namespace)
using namespace mqloop::conformance;  // NOLINT(google-build-using-namespace)

TEST_GROUP(PublisherConformance){};

TEST(PublisherConformance, each_qos_reaches_the_subscriber_in_order_and_once) {
  for (const QoS qos : {QoS::kAtMostOnce, QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for_each_seed([qos](Bench& bench) {
      auto& subscriber = bench.connected("subscriber");
      bench.subscribe(subscriber, "t/#", qos);
      auto& publisher = bench.connected("publisher");
      for (const std::string& payload : numbered(40)) bench.publish(publisher, "t/1", payload, qos);
      bench.until([&] { return subscriber.ear.messages.size() >= 40; }, "40 messages");
      CHECK(bench.broker().settle());
      check_same(numbered(40), subscriber.ear.payloads());
    });
  }
}

TEST(PublisherConformance, every_publish_is_acknowledged_in_the_order_of_its_arrival) {
  for (const QoS qos : {QoS::kAtLeastOnce, QoS::kExactlyOnce}) {
    for_each_seed([qos](Bench& bench) {
      auto& publisher = bench.connected("publisher");
      for (const std::string& payload : numbered(40)) bench.publish(publisher, "t/" + payload, payload, qos);
      bench.until([&] { return publisher.ear.acknowledged.size() == 40; }, "40 acknowledgements");
      CHECK(std::is_sorted(publisher.ear.acknowledged.begin(), publisher.ear.acknowledged.end()));
      LONGS_EQUAL(0, publisher.ear.refused);
    });
  }
}

TEST(PublisherConformance, a_message_reaches_subscribers_on_every_reactor) {
  for_each_seed([](Bench& bench) {
    std::vector<Bench::Guest*> subscribers;
    for (int i = 0; i != 6; ++i) {
      subscribers.push_back(&bench.connected("subscriber-" + std::to_string(i)));
      bench.subscribe(*subscribers.back(), i % 2 == 0 ? "t/+" : "#", static_cast<QoS>(i % 3));
    }
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(10)) bench.publish(publisher, "t/1", payload, QoS::kExactlyOnce);
    for (Bench::Guest* subscriber : subscribers) {
      bench.until([&] { return subscriber->ear.messages.size() >= 10; }, "10 messages for each");
      check_same(numbered(10), subscriber->ear.payloads());
    }
  });
}

TEST(PublisherConformance, a_session_gets_what_was_acknowledged_while_its_client_was_away) {
  for_each_seed([](Bench& bench) {
    auto& traveller = bench.connected("traveller", 3600);
    bench.subscribe(traveller, "post/#", QoS::kExactlyOnce);
    traveller.client.disconnect();
    CHECK(bench.broker().settle());
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(20)) {
      bench.publish(publisher, "post/box", payload, QoS::kAtLeastOnce);
    }
    bench.until([&] { return publisher.ear.acknowledged.size() == 20; }, "20 acknowledgements");
    bench.connect(traveller, 3600, false);
    CHECK(traveller.ear.session_present);
    bench.until([&] { return traveller.ear.messages.size() >= 20; }, "what waited");
    check_same(numbered(20), traveller.ear.payloads());
  });
}

TEST(PublisherConformance, the_last_retained_message_of_a_topic_awaits_new_subscribers) {
  for_each_seed([](Bench& bench) {
    auto& publisher = bench.connected("publisher");
    bench.publish(publisher, "kept/a", "old", QoS::kAtLeastOnce, true);
    bench.publish(publisher, "kept/a", "new", QoS::kAtLeastOnce, true);
    bench.publish(publisher, "kept/b", "gone", QoS::kAtLeastOnce, true);
    bench.publish(publisher, "kept/b", "", QoS::kAtLeastOnce, true);
    bench.until([&] { return publisher.ear.acknowledged.size() == 4; }, "4 acknowledgements");
    auto& subscriber = bench.connected("subscriber");
    bench.subscribe(subscriber, "kept/#", QoS::kAtLeastOnce);
    bench.until([&] { return !subscriber.ear.messages.empty(); }, "the retained message");
    CHECK(bench.broker().settle());
    check_same({"new"}, subscriber.ear.payloads());
    CHECK(subscriber.ear.messages[0].retain);
  });
}

TEST(PublisherConformance, what_one_client_publishes_before_it_unsubscribes_still_reaches_it) {
  for_each_seed([](Bench& bench) {
    auto& client = bench.connected("client");
    bench.subscribe(client, "self", QoS::kAtLeastOnce);
    for (const std::string& payload : numbered(5)) bench.publish(client, "self", payload, QoS::kAtLeastOnce);
    const std::string filter = "self";
    client.client.unsubscribe({&filter, 1}, 9);
    bench.until([&] { return client.ear.messages.size() >= 5 && client.ear.acknowledged.size() == 5; }, "5 messages");
    bench.publish(client, "self", "late", QoS::kAtLeastOnce);
    bench.until([&] { return client.ear.acknowledged.size() == 6; }, "the last acknowledgement");
    CHECK(bench.broker().settle());
    check_same(numbered(5), client.ear.payloads());
  });
}

TEST(PublisherConformance, a_stop_under_load_comes_to_an_end) {
  for_each_seed([](Bench& bench) {
    auto& subscriber = bench.connected("subscriber", 3600);
    bench.subscribe(subscriber, "#", QoS::kExactlyOnce);
    auto& publisher = bench.connected("publisher");
    for (const std::string& payload : numbered(30)) bench.publish(publisher, "t/1", payload, QoS::kExactlyOnce);
  });
}
