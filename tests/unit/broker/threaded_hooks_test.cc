// Plugins that answer from other threads.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Before CppUTest, whose macros rename `new`.
#include "tests/unit/broker/hook_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace std::chrono_literals;
using namespace mqloop;
using namespace mqloop::broker;
using namespace mqloop::broker::hook_test;

namespace {

ScriptedAuthorizer::Script allows() {
  return [](const Access&, AuthorizeReply reply) { reply.allow(); };
}

}  // namespace

TEST_GROUP(ThreadedHookChain) { Bench bench; };

TEST(ThreadedHookChain, answers_race_with_the_return_of_the_hook) {
  std::vector<std::thread> threads;
  ScriptedAuthenticator plugin([&](const ConnectRequest& request, AuthReply reply) {
    threads.emplace_back(
        [name = std::string(request.client_id), mine = std::move(reply)]() mutable { mine.accept(name); });
  });
  bench.add(plugin).timeout = kInfinite;
  bench.open();
  constexpr int kClients = 400;
  std::vector<std::unique_ptr<Client>> clients;
  int inside = 0;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Client>());
    auto verdict = bench.connect(*clients.back(), "client" + std::to_string(i));
    if (!verdict) continue;
    ++inside;
    clients.back()->on_authenticated(std::move(*verdict));
  }
  for (std::thread& thread : threads) thread.join();
  bench.loop.turn();
  for (int i = 0; i < kClients; ++i) {
    LONGS_EQUAL(1, clients[i]->calls);
    CHECK(clients[i]->auth->user_name == "client" + std::to_string(i));
  }
  LONGS_EQUAL(kClients - inside, bench.hooks->statistics(0).later.value());
}

TEST(ThreadedHookChain, two_threads_answer_and_one_of_them_wins) {
  for (int i = 0; i < 200; ++i) {
    Bench one;
    Client client;
    std::optional<AuthReply> kept;
    ScriptedAuthenticator plugin([&](const ConnectRequest&, AuthReply reply) { kept.emplace(std::move(reply)); });
    one.add(plugin);
    one.open();
    CHECK_FALSE(one.connect(client).has_value());
    std::thread accepting([&] { kept->accept("a"); });
    std::thread rejecting([&] { kept->reject(ReasonCode::kBanned, "b"); });
    accepting.join();
    rejecting.join();
    one.loop.turn();
    LONGS_EQUAL(1, client.calls);
    if (client.auth->outcome == AuthOutcome::kAccepted) {
      CHECK(client.auth->user_name == "a");
    } else {
      CHECK(client.auth->reason == "b");
    }
  }
}

TEST(ThreadedHookChain, answers_race_with_cancel_deadline_and_stop) {
  for (int i = 0; i < 300; ++i) {
    auto one = std::make_unique<Bench>();
    auto client = std::make_unique<Client>();
    std::optional<AuthReply> kept;
    ScriptedAuthenticator plugin([&](const ConnectRequest&, AuthReply reply) { kept.emplace(std::move(reply)); });
    one->add(plugin).timeout = 5ms;
    one->open();
    CHECK_FALSE(one->connect(*client).has_value());
    std::thread answering([mine = std::move(*kept)]() mutable { mine.accept(); });
    if (i % 3 == 0) client->run.cancel();
    if (i % 3 == 1) one->loop.pass(5ms);
    CHECK(client->calls <= 1);
    client.reset();
    one.reset();
    answering.join();
  }
}

// ---- authorize_delivery --------------------------------------------------------------------------------------------

TEST_GROUP(DeliveryChain) {
  Bench bench;
  std::vector<std::unique_ptr<ScriptedAuthorizer>> plugins;

  DeliveryVerdict decide(std::vector<ScriptedAuthorizer::DeliveryScript> scripts) {
    for (auto& script : scripts) {
      plugins.push_back(std::make_unique<ScriptedAuthorizer>(allows()));
      plugins.back()->delivery_script = std::move(script);
      bench.add(*plugins.back());
    }
    bench.open();
    Access access(bench.hooks->context({3, 4}));
    access.kind = AccessKind::kReceive;
    access.topic = "a/b";
    return bench.hooks->authorize_delivery(bench.chain, access);
  }
  static ScriptedAuthorizer::DeliveryScript says(DeliveryRight right) {
    return [right](const Access&) { return DeliveryAnswer{right, "rules.acl:7"}; };
  }
};

TEST(DeliveryChain, nobody_who_knows_leaves_it_with_what_was_decided_before) {
  CHECK(decide({says(DeliveryRight::kUnknown), nullptr}).right == DeliveryRight::kUnknown);
}

TEST(DeliveryChain, one_allow_is_an_allow) {
  CHECK(decide({nullptr, says(DeliveryRight::kAllow), says(DeliveryRight::kUnknown)}).right == DeliveryRight::kAllow);
}

TEST(DeliveryChain, any_deny_wins) {
  const DeliveryVerdict verdict = decide({says(DeliveryRight::kAllow), says(DeliveryRight::kDeny)});
  CHECK(verdict.right == DeliveryRight::kDeny);
  STRCMP_EQUAL("p1", verdict.by->name.c_str());
  STRCMP_EQUAL("rules.acl:7", std::string(verdict.rule).c_str());
}

TEST(DeliveryChain, exception_denies_and_is_told) {
  const DeliveryVerdict verdict = decide({[](const Access&) -> DeliveryAnswer { throw std::bad_alloc(); }});
  CHECK(verdict.right == DeliveryRight::kDeny);
  LONGS_EQUAL(1, bench.hooks->statistics(0).failed.value());
  LONGS_EQUAL(1, bench.log.lines().size());
}

TEST(DeliveryChain, default_body_knows_nothing) { CHECK(decide({nullptr}).right == DeliveryRight::kUnknown); }
