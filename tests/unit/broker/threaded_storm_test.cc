// Storms on a whole broker with four real reactors, for TSan and for what must hold in them: never two live connections
// of one client, no message of a subscription after its UNSUBACK, no state left of who goes in the middle of something,
// and the order of each publisher and topic while publishers are held.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/broker/client_directory.h"
#include "tests/unit/broker/running_broker.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::threaded;
using std::chrono::milliseconds;

namespace {

constexpr std::uint32_t kReactors = 4;

// Each on a thread of its own; returns when all are done.
void at_once(int count, const std::function<void(int)>& what) {
  std::vector<std::thread> threads;
  for (int i = 0; i != count; ++i) threads.emplace_back([&what, i] { what(i); });
  for (std::thread& thread : threads) thread.join();
}

// What tells of one client identifier which connection came after which. A stamp is taken before CONNECT is sent and
// one after CONNACK is read: a connection whose CONNECT was sent after another's CONNACK was read is the later one.
class Arrivals {
 public:
  std::uint64_t stamp() noexcept { return ++clock_; }
  void entered(std::uint64_t connect_sent) noexcept {
    std::uint64_t latest = latest_connect_;
    while (latest < connect_sent && !latest_connect_.compare_exchange_weak(latest, connect_sent)) {
    }
  }
  // A later one has entered for certain, so this one is not alive any more.
  [[nodiscard]] bool later_than(std::uint64_t connack_read) const noexcept { return latest_connect_ > connack_read; }

 private:
  std::atomic<std::uint64_t> clock_{0};
  std::atomic<std::uint64_t> latest_connect_{0};
};

}  // namespace

TEST_GROUP(ThreadedStorm){};

TEST(ThreadedStorm, of_64_connections_for_8_identifiers_no_two_of_one_are_alive) {
  constexpr int kThreads = 8;
  constexpr int kIds = 8;
  constexpr int kRoundsAnEra = 8;  // then for other identifiers, so that the brake makes them wait for moments only
  constexpr int kEras = 4;
  struct Place {
    std::unique_ptr<Client> client;
    std::uint64_t connack_read = 0;
  };
  Running running(kReactors);
  Arrivals arrivals[kEras][kIds];
  Place places[kThreads][kEras][kIds];
  const auto name = [](int era, int id) { return "prize-" + std::to_string(era) + "-" + std::to_string(id); };
  std::atomic<int> two_alive{0};
  std::atomic<int> bad{0};
  std::atomic<int> found_dead{0};
  at_once(kThreads, [&](int thread) {
    for (int round = 0; round != kRoundsAnEra * kEras; ++round) {
      const int era = round / kRoundsAnEra;
      const int id = (thread + round) % kIds;
      Place& place = places[thread][era][id];
      const std::uint64_t connect_sent = arrivals[era][id].stamp();
      place.client = std::make_unique<Client>(running.port());
      if (place.client->hello(name(era, id), round % 3 == 0)) {
        place.connack_read = arrivals[era][id].stamp();
        arrivals[era][id].entered(connect_sent);
      } else {
        place.client.reset();
      }
      // Another of this thread's, entered some rounds ago.
      const int other = (id + 1 + round % (kIds - 1)) % kIds;
      Place& old = places[thread][era][other];
      if (!old.client) continue;
      const bool must_be_dead = arrivals[era][other].later_than(old.connack_read);
      const bool alive = old.client->ping();
      if (alive && must_be_dead) ++two_alive;
      if (!alive) ++found_dead;
      if (!old.client->bad().empty()) ++bad;
      if (!alive) old.client.reset();
    }
  });
  LONGS_EQUAL(0, two_alive);
  LONGS_EQUAL(0, bad);
  CHECK(found_dead > 0);
  for (int id = 0; id != kIds; ++id) {
    Client last(running.port());
    CHECK(last.hello(name(kEras - 1, id)));
    int alive = 0;
    for (auto& places_of_thread : places) {
      Place& place = places_of_thread[kEras - 1][id];
      if (place.client && place.client->ping()) ++alive;
    }
    LONGS_EQUAL(0, alive);
    CHECK(last.ping());
  }
}

TEST(ThreadedStorm, subscriptions_that_come_and_go_get_nothing_after_their_unsuback) {
  constexpr int kThreads = 6;
  constexpr int kRounds = 60;
  Running running(kReactors);
  std::atomic<bool> done{false};
  std::atomic<int> uncalled{0};
  std::atomic<int> bad{0};
  std::atomic<int> heard{0};
  std::thread speaker([&] {
    Client client(running.port());
    if (!client.hello("speaker")) return;
    for (int i = 0; !done; ++i) {
      client.publish("churn/" + std::to_string(i % 4), "x");
      if (i % 32 == 31 && !client.ping()) ++bad;
    }
  });
  at_once(kThreads, [&](int thread) {
    const char* const filters[] = {"churn/#", "churn/+", "churn/1", "#"};
    Client client(running.port());
    if (!client.hello("churner-" + std::to_string(thread))) ++bad;
    for (int round = 0; round != kRounds; ++round) {
      const char* const filter = filters[(thread + round) % 4];
      if (!client.subscribe(filter, QoS::kAtMostOnce)) ++bad;
      client.publish("churn/own", "y");
      bool subscribed = false;
      for (int messages = 0; !subscribed || messages < 2;) {
        const auto packet = client.next();
        if (!packet) break;
        subscribed |= std::holds_alternative<mqtt::SubackPacket>(*packet);
        if (std::holds_alternative<mqtt::PublishPacket>(*packet)) ++messages, ++heard;
      }
      if (!client.unsubscribe(filter)) ++bad;
      while (const auto packet = client.next()) {
        if (std::holds_alternative<mqtt::UnsubackPacket>(*packet)) break;
      }
      // What comes before PINGRESP comes after UNSUBACK.
      client.send(mqtt::PingreqPacket{});
      while (const auto packet = client.next()) {
        if (std::holds_alternative<mqtt::PingrespPacket>(*packet)) break;
        ++uncalled;
      }
      if (!client.bad().empty()) ++bad;
    }
  });
  done = true;
  speaker.join();
  LONGS_EQUAL(0, uncalled);
  LONGS_EQUAL(0, bad);
  CHECK(heard >= 2 * kThreads * kRounds);
}

TEST(ThreadedStorm, who_goes_in_the_middle_of_anything_leaves_nothing_behind) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 63;
  const std::uint8_t half_a_connect[] = {0x10, 0x20, 0x00, 0x04, 'M', 'Q'};
  const std::uint8_t half_a_publish[] = {0x30, 0x20, 0x00, 0x04, 't', 'o'};
  Running running(kReactors);
  std::atomic<int> bad{0};
  at_once(kThreads, [&](int thread) {
    for (int round = 0; round != kRounds; ++round) {
      Client client(running.port());
      if (round % 2 == 0) client.end_by_reset();
      const std::string id = "passer-" + std::to_string((thread + round) % 5);
      mqtt::ConnectPacket connect;
      connect.client_id = id;
      connect.clean_start = true;
      switch (round % 9) {
        case 0:
          break;  // before anything
        case 1:
          client.send_bytes(half_a_connect);
          break;
        case 2:
          client.send(connect);  // perhaps on its way to its session's home
          break;
        case 3:
          client.send(connect);
          client.subscribe("busy/#", QoS::kExactlyOnce);
          break;
        case 4:
          if (client.hello(id)) client.send_bytes(half_a_publish);
          break;
        case 5:
          if (client.hello(id)) client.publish("busy/2", "before PUBREC", QoS::kExactlyOnce, 7);
          break;
        case 6:
          if (client.hello(id)) client.publish("busy/2", "before PUBREL", QoS::kExactlyOnce, 7);
          (void)client.next(milliseconds(50));
          break;
        case 7:  // while messages are on their way to it
          if (client.hello(id)) client.subscribe("busy/#", QoS::kAtLeastOnce);
          for (int i = 0; i != 20; ++i) client.publish("busy/" + std::to_string(i), "x", QoS::kAtMostOnce);
          break;
        default:
          if (client.hello(id)) client.send(mqtt::DisconnectPacket{});
          break;
      }
      if (!client.bad().empty()) ++bad;
    }
  });
  LONGS_EQUAL(0, bad);
  broker::Broker& broker = running.broker();
  const auto left = [&broker] { return broker.connections() + broker.directory().size(); };
  for (int patience = 0; left() != 0 && patience != 1000; ++patience) std::this_thread::sleep_for(milliseconds(10));
  LONGS_EQUAL(0, broker.connections());
  LONGS_EQUAL(0, broker.directory().size());
  LONGS_EQUAL(0, broker.total(&broker::Counters::sessions));
  LONGS_EQUAL(0, broker.total(&broker::Counters::subscriptions));
  LONGS_EQUAL(0, broker.total(&broker::Counters::messages_waiting));
}

TEST(ThreadedStorm, every_reactor_speaks_to_every_other_in_order_while_publishers_are_held) {
  constexpr int kPairs = 4;
  constexpr int kMessages = 1200;
  constexpr int kAtOnce = 60;
  Running running(kReactors, nullptr, 2000);
  std::vector<std::unique_ptr<Client>> listeners;
  for (int i = 0; i != kPairs; ++i) {
    listeners.push_back(std::make_unique<Client>(running.port()));
    CHECK(listeners.back()->hello("listener-" + std::to_string(i)));
    CHECK(listeners.back()->subscribe("order/#", QoS::kAtMostOnce));
    CHECK(listeners.back()->next().has_value());
  }
  std::atomic<int> faults{0};
  at_once(2 * kPairs, [&](int number) {
    if (number < kPairs) {
      Client speaker(running.port());
      if (!speaker.hello("speaker-" + std::to_string(number))) ++faults;
      const std::string topic = "order/" + std::to_string(number);
      for (int i = 0; i != kMessages; ++i) {
        const auto id = static_cast<std::uint16_t>(i % kAtOnce + 1);
        speaker.publish(topic, std::to_string(i), QoS::kAtLeastOnce, id);
        for (int ack = 0; i % kAtOnce == kAtOnce - 1 && ack != kAtOnce; ++ack) {
          if (!speaker.next()) ++faults;
        }
      }
      return;
    }
    Client& listener = *listeners[static_cast<std::size_t>(number - kPairs)];
    int expected[kPairs] = {};
    for (int i = 0; i != kPairs * kMessages; ++i) {
      const auto packet = listener.next();
      const auto* publish = packet ? std::get_if<mqtt::PublishPacket>(&*packet) : nullptr;
      if (publish == nullptr) {
        ++faults;
        return;
      }
      if (std::atoi(payload_of(*publish).c_str()) != expected[publish->topic.back() - '0']++) ++faults;
    }
  });
  LONGS_EQUAL(0, faults);
  CHECK(running.broker().total(&broker::Counters::publishers_held) > 0);
}

TEST(ThreadedStorm, a_stop_while_publishers_are_held_comes_to_its_end) {
  for (int round = 0; round != 5; ++round) {
    std::vector<std::thread> threads;
    std::atomic<int> entered{0};
    {
      Running running(kReactors, nullptr, 1000);
      for (int i = 0; i != 4; ++i) {
        threads.emplace_back([&, i, port = running.port()] {
          Client client(port);
          if (client.hello("client-" + std::to_string(i)) && client.subscribe("load/#", QoS::kAtMostOnce)) ++entered;
          // Until the broker ends the connection.
          while (client.publish("load/" + std::to_string(i), std::string(100, 'x'), QoS::kAtLeastOnce, 1)) {
            bool acknowledged = false;
            while (!acknowledged) {
              const auto packet = client.next();
              if (!packet) return;
              acknowledged = std::holds_alternative<mqtt::AckPacket>(*packet);
            }
          }
        });
      }
      while (entered != 4) std::this_thread::yield();
      std::this_thread::sleep_for(milliseconds(20 * (round + 1)));
    }
    for (std::thread& thread : threads) thread.join();
  }
}
