// A whole broker on three real reactors and real sockets, hammered from four threads: connections that fight for few
// client identifiers, subscriptions that come and go, messages that cross reactors, and a stop in the middle of it.
// What must hold: nothing races (these run under TSan), nobody hears a packet that the protocol does not allow, and
// whoever is left alone gets all that was sent to it, in order.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "tests/unit/broker/running_broker.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::threaded;

TEST_GROUP(ThreadedBroker){};

TEST(ThreadedBroker, cve_2025_59946_connections_that_fight_for_few_identifiers_leave_one_alive_each) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 60;
  Running running(3);
  std::atomic<int> entered{0};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread != kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round != kRounds; ++round) {
        Client client(running.port());
        const std::string id = "fighter-" + std::to_string((thread + round) % 3);
        if (client.hello(id, round % 2 == 0)) {
          ++entered;
          client.subscribe("fight/#", QoS::kAtLeastOnce);
          client.publish("fight/" + id, "hit");
          (void)client.next(std::chrono::milliseconds(5));
        }
        if (!client.bad().empty()) ++bad;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, bad);
  // A CONNECT is refused by nobody here: each round enters, unless it was thrown out before its CONNACK was read.
  CHECK(entered > kThreads * kRounds / 2);
  for (int i = 0; i != 3; ++i) {
    Client last(running.port());
    CHECK(last.hello("fighter-" + std::to_string(i)));
  }
}

TEST(ThreadedBroker, members_of_groups_that_come_and_go_race_with_nobody_and_lose_no_message_of_who_stays) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 40;
  constexpr int kMessages = 200;
  Running running(3);
  std::atomic<bool> go_on{true};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  // Members of the first group come, take what they get without acknowledging it, and go.
  for (int thread = 0; thread != kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round != kRounds && go_on; ++round) {
        Client client(running.port());
        if (client.hello("passer-" + std::to_string(thread), round % 2 == 0)) {
          client.subscribe("$share/first/work/#", QoS::kAtLeastOnce);
          for (int i = 0; i != 3; ++i) (void)client.next(std::chrono::milliseconds(5));
        }
        if (!client.bad().empty()) ++bad;
      }
    });
  }
  Client worker(running.port());
  CHECK(worker.hello("worker"));
  CHECK(worker.subscribe("$share/first/work/#", QoS::kAtLeastOnce));
  CHECK(worker.next().has_value());
  Client source(running.port());
  CHECK(source.hello("source"));
  for (int i = 0; i != kMessages; ++i) {
    CHECK(source.publish("work/1", std::to_string(i), QoS::kAtLeastOnce, static_cast<std::uint16_t>(i + 1)));
    CHECK(source.next().has_value());  // PUBACK
  }
  go_on = false;
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, bad);
  // What the others had and did not acknowledge comes to the one that stays.
  std::set<std::string> got;
  while (got.size() != kMessages) {
    const auto packet = worker.next();
    CHECK(packet.has_value());
    const auto* publish = std::get_if<mqtt::PublishPacket>(&*packet);
    CHECK(publish != nullptr);
    got.insert(payload_of(*publish));
    mqtt::AckPacket ack;
    ack.type = mqtt::PacketType::kPuback;
    ack.packet_id = publish->packet_id;
    CHECK(worker.send(ack));
  }
}

TEST(ThreadedBroker, exchanges_for_few_identifiers_go_on_while_their_plugin_thinks_elsewhere) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 40;
  ThinksElsewhere plugin;
  Running running(3, &plugin);
  std::atomic<int> entered{0};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread != kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round != kRounds; ++round) {
        Client client(running.port());
        entered += client.hello_in_steps("seeker-" + std::to_string((thread + round) % 3), round % 2 == 0) ? 1 : 0;
        if (!client.bad().empty()) ++bad;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(0, bad);
  CHECK(entered > 0);  // who was not had the session taken over by the next
  for (int i = 0; i != 3; ++i) {
    Client last(running.port());
    CHECK(last.hello_in_steps("seeker-" + std::to_string(i), false));
  }
}

TEST(ThreadedBroker, messages_cross_reactors_in_order_while_others_come_and_go) {
  constexpr int kMessages = 2000;
  Running running(3);
  Client subscriber(running.port());
  CHECK(subscriber.hello("listener"));
  CHECK(subscriber.subscribe("order/#", QoS::kAtLeastOnce));
  CHECK(subscriber.next().has_value());
  std::atomic<bool> done{false};
  std::thread churn([&] {
    for (int i = 0; !done; ++i) {
      Client guest(running.port());
      guest.hello("guest-" + std::to_string(i % 5), i % 3 != 0);
      guest.subscribe(i % 2 == 0 ? "order/+" : "#", QoS::kExactlyOnce);
      (void)guest.next(std::chrono::milliseconds(2));
    }
  });
  std::vector<std::thread> publishers;
  for (int p = 0; p != 2; ++p) {
    publishers.emplace_back([&, p] {
      Client publisher(running.port());
      if (!publisher.hello("speaker-" + std::to_string(p))) return;
      const std::string topic = "order/" + std::to_string(p);
      for (int i = 0; i != kMessages; ++i) {
        const auto id = static_cast<std::uint16_t>(i % 50 + 1);
        publisher.publish(topic, std::to_string(i), QoS::kAtLeastOnce, id);
        if (i % 50 == 49) {
          for (int ack = 0; ack != 50; ++ack) (void)publisher.next();
        }
      }
    });
  }
  int expected[2] = {0, 0};
  while (expected[0] + expected[1] != 2 * kMessages) {
    const auto packet = subscriber.next();
    CHECK(packet.has_value());
    const auto* publish = std::get_if<mqtt::PublishPacket>(&*packet);
    CHECK(publish != nullptr);
    const int p = publish->topic.back() - '0';
    LONGS_EQUAL(expected[p], std::atoi(payload_of(*publish).c_str()));
    ++expected[p];
    mqtt::AckPacket ack;
    ack.packet_id = publish->packet_id;
    CHECK(subscriber.send(ack));
  }
  done = true;
  churn.join();
  for (std::thread& publisher : publishers) publisher.join();
  STRCMP_EQUAL("", subscriber.bad().c_str());
}

TEST(ThreadedBroker, the_configuration_changes_under_load_and_nothing_of_the_old_ones_is_left) {
  constexpr int kMessages = 1500;
  constexpr int kChanges = 60;
  std::atomic<int> alive{0};
  {
    Running running(3);
    std::atomic<int> failures{0};
    std::atomic<bool> done{false};
    std::vector<std::thread> clients;
    for (int c = 0; c != 2; ++c) {
      clients.emplace_back([&, c] {
        Client client(running.port());
        const std::string topic = "own/" + std::to_string(c);
        if (!client.hello("client-" + std::to_string(c)) || !client.subscribe(topic, QoS::kAtMostOnce)) ++failures;
        if (!client.next()) ++failures;
        for (int i = 0; i != kMessages; ++i) {
          // PUBACK, and what it has sent itself, in either order.
          client.publish(topic, std::to_string(i), QoS::kAtLeastOnce, 1);
          for (int answer = 0; answer != 2; ++answer) {
            const auto packet = client.next();
            if (!packet) ++failures;
            const auto* ack = packet ? std::get_if<mqtt::AckPacket>(&*packet) : nullptr;
            if (ack != nullptr && is_error(ack->reason_code)) ++failures;
          }
        }
      });
    }
    std::thread guests([&] {
      for (int i = 0; !done; ++i) {
        Client guest(running.port());
        guest.hello("guest-" + std::to_string(i % 4), i % 2 == 0);
        guest.subscribe("own/#", QoS::kAtMostOnce);
        (void)guest.next(std::chrono::milliseconds(2));
      }
    });
    for (int i = 0; i != kChanges; ++i) CHECK(running.reconfigure(i % 3 != 0, alive).ok());
    for (std::thread& client : clients) client.join();
    done = true;
    guests.join();
    LONGS_EQUAL(0, failures);
    // The last one stands: a plugin and its object on each reactor.
    for (int patience = 0; alive != 4 && patience != 2000; ++patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    LONGS_EQUAL(4, alive);
  }
  LONGS_EQUAL(0, alive);
}

TEST(ThreadedBroker, a_stop_under_load_says_good_bye_to_everybody) {
  std::vector<std::unique_ptr<Client>> clients;
  {
    Running running(2);
    for (int i = 0; i != 20; ++i) {
      clients.push_back(std::make_unique<Client>(running.port()));
      CHECK(clients.back()->hello("client-" + std::to_string(i)));
      CHECK(clients.back()->subscribe("load/#", QoS::kAtMostOnce));
      for (int m = 0; m != 50; ++m) clients.back()->publish("load/" + std::to_string(i), "x");
    }
  }
  for (const auto& client : clients) {
    bool told = false;
    while (const auto packet = client->next()) {
      const auto* disconnect = std::get_if<mqtt::DisconnectPacket>(&*packet);
      told |= disconnect != nullptr && disconnect->reason_code == ReasonCode::kServerShuttingDown;
    }
    CHECK(told);
    STRCMP_EQUAL("", client->bad().c_str());
  }
}
