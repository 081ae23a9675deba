// Enhanced authentication (4.12), row by row of the table in enhanced_auth.h, in a whole broker whose time stands
// still. The plugin answers as the test says, at once or when the test finds it fit.
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using broker::test::World;
using namespace std::chrono_literals;

constexpr ReasonCode kContinue = ReasonCode::kContinueAuthentication;
constexpr ReasonCode kAgain = ReasonCode::kReAuthenticate;

// Counts the steps of an exchange, and how many exchanges there are.
class Steps final : public AuthState {
 public:
  Steps(int& alive, int steps) : done(steps), alive_(alive) { ++alive_; }
  ~Steps() override { --alive_; }
  const int done;

 private:
  int& alive_;
};

// Knows one method. What its hooks do is the test's.
class ScriptedExchange final : public AuthenticatorPlugin {
 public:
  bool knows_method(std::string_view method) const override { return knows(method); }
  void authenticate(const ConnectRequest& request, AuthReply reply) const override {
    on_connect(request, std::move(reply));
  }
  void continue_auth(const AuthStep& step, AuthReply reply) const override { on_step(step, std::move(reply)); }

  std::function<bool(std::string_view)> knows = [](std::string_view method) { return method == "TEST"; };
  std::function<void(const ConnectRequest&, AuthReply)> on_connect = [](const ConnectRequest&, AuthReply reply) {
    reply.challenge("nonce");
  };
  std::function<void(const AuthStep&, AuthReply)> on_step = [](const AuthStep&, AuthReply reply) { reply.accept(); };
};

// Accepts whoever comes and knows of no methods.
class AcceptsAll final : public AuthenticatorPlugin {
 public:
  void authenticate(const ConnectRequest&, AuthReply reply) const override { reply.accept(); }
};

std::string text(const AuthStep& step) {
  return std::string(step.client_id) + "/" + (step.has_user_name ? std::string(step.user_name) : "-") + "/" +
         std::string(step.authentication_method) + "/" +
         (step.has_authentication_data ? std::string(step.authentication_data) : "-") +
         (step.reauthenticates ? "/again" : "");
}

}  // namespace

TEST_GROUP(EnhancedAuth) {
  ScriptedExchange plugin;
  World world;
  TranscriptClient client{world.broker.network(), "sensor7", "TEST"};
  std::vector<AuthReply> replies;

  void start() {
    world.add(plugin);
    world.start();
  }
  void keep_steps() {
    plugin.on_step = [this](const AuthStep&, AuthReply reply) { replies.push_back(std::move(reply)); };
  }
  // Lets the client in.
  void enter() {
    client.connect();
    HEARS(client, "AUTH 18 nonce");
    client.auth(kContinue, "proof");
    HEARS(client, "CONNACK 00");
  }
  // Checks that AUTH before CONNACK has this answer.
  void check_step(const std::function<void(const AuthStep&, AuthReply)>& answer, const char* expected) {
    start();
    plugin.on_step = answer;
    client.connect();
    HEARS(client, "AUTH 18 nonce");
    client.auth(kContinue, "proof");
    HEARS(client, expected);
  }
  // Checks that a re-authentication has this answer.
  void check_again(const std::function<void(const AuthStep&, AuthReply)>& answer, const char* expected) {
    start();
    enter();
    plugin.on_step = answer;
    client.auth(kAgain, "proof");
    HEARS(client, expected);
  }
};

// ---- CONNECT -------------------------------------------------------------------------------------------------------

TEST(EnhancedAuth, a_method_that_no_plugin_knows_is_refused) {
  start();
  TranscriptClient other(world.broker.network(), "other", "SCRAM-SHA-256");
  other.connect();
  HEARS(other, "CONNACK 8c | closed");
}

TEST(EnhancedAuth, a_method_is_refused_where_nobody_is_asked) {
  world.broker.components().chains.clear();
  world.start();
  client.connect();
  HEARS(client, "CONNACK 8c | closed");
}

TEST(EnhancedAuth, a_plugin_that_throws_does_not_know_the_method) {
  plugin.knows = [](std::string_view) -> bool { throw std::runtime_error("no"); };
  start();
  client.connect();
  HEARS(client, "CONNACK 8c | closed");
}

TEST(EnhancedAuth, a_plugin_that_does_not_know_the_method_is_not_asked) {
  AcceptsAll everybody;
  world.add(everybody);
  start();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
}

TEST(EnhancedAuth, the_rule_for_anonymous_clients_lets_nobody_in_who_named_a_method) {
  start();
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.pass(); };
  client.connect();
  HEARS(client, "CONNACK 87 | closed");
}

TEST(EnhancedAuth, a_plugin_may_accept_or_refuse_at_once) {
  start();
  plugin.on_connect = [](const ConnectRequest& request, AuthReply reply) {
    if (request.authentication_data == "good") return reply.accept_with("welcome");
    reply.reject(ReasonCode::kBadUserNameOrPassword, "bad data");
  };
  client.connect({.data = "good"});
  HEARS(client, "CONNACK 00 welcome");
  client.connect({.data = "bad"});
  HEARS(client, "CONNACK 86 | closed");
}

TEST(EnhancedAuth, the_plugin_is_told_method_and_data_of_connect) {
  start();
  std::vector<std::string> told;
  plugin.on_connect = [&](const ConnectRequest& request, AuthReply reply) {
    told.push_back((request.has_authentication_method ? std::string(request.authentication_method) : "-") + "/" +
                   (request.has_authentication_data ? std::string(request.authentication_data) : "-"));
    reply.pass();
  };
  client.connect({.data = "first"});
  CHECK(world.broker.settle());
  client.connect();
  HEARS(client, "CONNACK 87 | closed | CONNACK 87 | closed");
  TranscriptClient plain(world.broker.network(), "plain");
  plain.connect();
  HEARS(plain, "CONNACK 00");
  STRCMP_EQUAL("TEST/first", told[0].c_str());
  STRCMP_EQUAL("TEST/-", told[1].c_str());
  STRCMP_EQUAL("-/-", told[2].c_str());
}

TEST(EnhancedAuth, who_named_no_method_cannot_be_challenged_and_gets_no_data) {
  start();
  TranscriptClient plain(world.broker.network(), "plain");
  plain.connect();
  HEARS(plain, "CONNACK 83 | closed");
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept_with("not for you"); };
  plain.connect();
  HEARS(plain, "CONNACK 00");
}

// ---- the exchange before CONNACK -----------------------------------------------------------------------------------

TEST(EnhancedAuth, exchange_of_several_steps_ends_in_connack_with_method_and_data) {
  start();
  int alive = 0;
  std::string told;
  plugin.on_connect = [&](const ConnectRequest&, AuthReply reply) {
    reply.challenge("nonce 1", Ref<AuthState>::adopt(new Steps(alive, 1)));
  };
  plugin.on_step = [&](const AuthStep& step, AuthReply reply) {
    told += text(step) + " ";
    const int done = static_cast<Steps&>(*step.state).done;
    if (done == 3) return reply.accept_with("proof of the server", "bob");
    reply.challenge("nonce " + std::to_string(done + 1), Ref<AuthState>::adopt(new Steps(alive, done + 1)));
  };
  client.connect({.user_name = "robert"});
  HEARS(client, "AUTH 18 nonce 1");
  client.auth(kContinue, "proof 1");
  HEARS(client, "AUTH 18 nonce 2");
  client.auth(kContinue, "");
  HEARS(client, "AUTH 18 nonce 3");
  LONGS_EQUAL(1, alive);
  client.auth(kContinue, "proof 3");
  HEARS(client, "CONNACK 00 proof of the server");
  LONGS_EQUAL(0, alive);
  STRCMP_EQUAL("sensor7/robert/TEST/proof 1 sensor7/robert/TEST/- sensor7/robert/TEST/proof 3 ", told.c_str());
}

TEST(EnhancedAuth, refusal_in_the_exchange) {
  check_step([](const AuthStep&, AuthReply reply) { reply.reject(ReasonCode::kBadUserNameOrPassword, "wrong proof"); },
             "CONNACK 86 | closed");
}

TEST(EnhancedAuth, after_a_challenge_there_is_nobody_to_pass_to) {
  world.add(plugin);
  ScriptedExchange second;
  second.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
  world.add(second);
  world.start();
  plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.pass(); };
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof");
  HEARS(client, "CONNACK 87 | closed");
}

TEST(EnhancedAuth, a_plugin_without_steps_refuses_them) {
  class NoSteps final : public AuthenticatorPlugin {
    bool knows_method(std::string_view) const override { return true; }
    void authenticate(const ConnectRequest&, AuthReply reply) const override { reply.challenge("nonce"); }
  } no_steps;
  world.add(no_steps);
  world.start();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof");
  HEARS(client, "CONNACK 87 | closed");
}

TEST(EnhancedAuth, exception_in_a_step_refuses) {
  check_step([](const AuthStep&, AuthReply) { throw std::runtime_error("no"); }, "CONNACK 83 | closed");
}

TEST(EnhancedAuth, data_beyond_the_standards_limit_refuses) {
  check_step([](const AuthStep&, AuthReply reply) { reply.accept_with(std::string(65536, 'x')); },
             "CONNACK 83 | closed");
}

TEST(EnhancedAuth, the_longest_data_is_sent_whole) {
  check_step([](const AuthStep&, AuthReply reply) { reply.challenge(std::string(65535, 'x')); },
             ("AUTH 18 " + std::string(65535, 'x')).c_str());
}

TEST(EnhancedAuth, late_answers_continue_the_exchange) {
  start();
  keep_steps();
  plugin.on_connect = [this](const ConnectRequest&, AuthReply reply) { replies.push_back(std::move(reply)); };
  client.connect();
  HEARS(client, "");
  replies.back().challenge("nonce");
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof");
  HEARS(client, "");
  replies.back().accept_with("done");
  HEARS(client, "CONNACK 00 done");
}

TEST(EnhancedAuth, no_answer_in_time_refuses) {
  start();
  keep_steps();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof");
  HEARS(client, "");
  world.broker.pass(2s);
  HEARS(client, "CONNACK 88 | closed");
  replies.back().accept();
  HEARS(client, "");
}

TEST(EnhancedAuth, no_answer_in_time_after_a_challenge_refuses_even_where_the_next_may_be_asked) {
  world.add(plugin).on_timeout = broker::OnTimeout::kPass;
  ScriptedExchange second;
  second.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
  world.add(second);
  world.start();
  keep_steps();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof");
  HEARS(client, "");
  world.broker.pass(2s);
  HEARS(client, "CONNACK 87 | closed");
}

TEST(EnhancedAuth, the_next_plugin_that_knows_the_method_is_asked_when_the_first_passes_late) {
  plugin.on_connect = [this](const ConnectRequest&, AuthReply reply) { replies.push_back(std::move(reply)); };
  world.add(plugin);
  AcceptsAll everybody;
  world.add(everybody);
  ScriptedExchange second;
  second.on_connect = [](const ConnectRequest& request, AuthReply reply) {
    reply.challenge("second of " + std::string(request.authentication_data));
  };
  world.add(second);
  world.start();
  client.connect({.data = "first"});
  HEARS(client, "");
  replies.back().pass();
  HEARS(client, "AUTH 18 second of first");
  client.auth(kContinue, "proof");
  HEARS(client, "CONNACK 00");
}

TEST(EnhancedAuth, reauthentication_before_connack_is_a_protocol_error) {
  start();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kAgain, "proof");
  HEARS(client, "CONNACK 82 | closed");
}

TEST(EnhancedAuth, another_method_before_connack_is_a_protocol_error) {
  start();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof", "OTHER");
  HEARS(client, "CONNACK 82 | closed");
}

TEST(EnhancedAuth, only_auth_and_disconnect_may_come_before_connack) {
  start();
  using Sends = std::function<void()>;
  for (const Sends& sends :
       {Sends([this] { client.ping(); }), Sends([this] { client.subscribe("a", 1); }),
        Sends([this] { client.publish("a", "x"); }), Sends([this] { client.send(mqtt::ConnectPacket{}); })}) {
    client.connect();
    HEARS(client, "AUTH 18 nonce");
    sends();
    HEARS(client, "CONNACK 82 | closed");
  }
}

TEST(EnhancedAuth, disconnect_before_connack_ends_it_without_a_word) {
  start();
  client.connect({.will_topic = "gone"});
  HEARS(client, "AUTH 18 nonce");
  mqtt::PropertyWriter properties;
  properties.add(mqtt::PropertyId::kSessionExpiryInterval, 5);
  client.send(mqtt::DisconnectPacket{ReasonCode::kDisconnectWithWillMessage, properties.properties()});
  HEARS(client, "closed");
  LONGS_EQUAL(0, world.broker.broker().shard(0).sessions().size());
}

TEST(EnhancedAuth, a_client_that_does_not_answer_the_challenge_is_refused_in_time) {
  start();
  world.broker.settings().limits.connect_timeout = 10s;
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  world.broker.pass(9s);
  HEARS(client, "");
  world.broker.pass(2s);
  HEARS(client, "CONNACK 87 | closed");
}

TEST(EnhancedAuth, the_clients_time_stands_still_while_the_plugin_thinks) {
  world.add(plugin).timeout = 60s;
  world.start();
  keep_steps();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.auth(kContinue, "proof");
  HEARS(client, "");
  world.broker.pass(30s);
  HEARS(client, "");
  replies.back().accept();
  HEARS(client, "CONNACK 00");
}

TEST(EnhancedAuth, client_that_has_gone_takes_the_exchange_with_it) {
  start();
  int alive = 0;
  plugin.on_connect = [&](const ConnectRequest&, AuthReply reply) {
    reply.challenge("nonce", Ref<AuthState>::adopt(new Steps(alive, 1)));
  };
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  LONGS_EQUAL(1, alive);
  client.reset();
  HEARS(client, "");
  LONGS_EQUAL(0, alive);
  LONGS_EQUAL(0, world.broker.broker().shard(0).connections());
}

TEST(EnhancedAuth, what_comes_with_the_last_auth_is_handled_after_connack) {
  start();
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  client.hold();
  client.auth(kContinue, "proof");
  client.subscribe("a", 1);
  client.publish("a", "hello");
  client.release();
  HEARS(client, "CONNACK 00 | SUBACK 00 | PUBLISH a hello");
}

TEST(EnhancedAuth, auth_larger_than_the_client_takes_is_not_sent) {
  start();
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.challenge(std::string(100, 'x')); };
  client.connect({.maximum_packet_size = 60});
  HEARS(client, "CONNACK 95 | closed");
}

TEST(EnhancedAuth, connack_larger_than_the_client_takes_is_not_sent_and_nothing_has_happened) {
  start();
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept_with(std::string(100, 'x')); };
  client.connect({.maximum_packet_size = 60});
  HEARS(client, "CONNACK 95 | closed");
  LONGS_EQUAL(0, world.broker.broker().shard(0).sessions().size());
}

TEST(EnhancedAuth, broker_that_stops_says_so_and_forgets_the_exchange) {
  int alive = 0;
  start();
  plugin.on_connect = [&](const ConnectRequest&, AuthReply reply) {
    reply.challenge("nonce", Ref<AuthState>::adopt(new Steps(alive, 1)));
  };
  keep_steps();
  TranscriptClient asked(world.broker.network(), "asked", "TEST");
  asked.connect();
  HEARS(asked, "AUTH 18 nonce");
  asked.auth(kContinue, "proof");
  client.connect();
  HEARS(client, "AUTH 18 nonce");
  TranscriptClient silent(world.broker.network(), "silent");
  silent.open();
  HEARS(silent, "");
  world.stop();
  STRCMP_EQUAL("CONNACK 88 | closed", client.take().c_str());
  STRCMP_EQUAL("CONNACK 88 | closed", asked.take().c_str());
  STRCMP_EQUAL("closed", silent.take().c_str());  // it had sent no CONNECT that a CONNACK would answer
  LONGS_EQUAL(0, alive);
  replies.back().accept();
}

// ---- re-authentication ---------------------------------------------------------------------------------------------

TEST(EnhancedAuth, auth_without_a_method_in_connect_is_a_protocol_error) {
  world.start();
  TranscriptClient plain(world.broker.network(), "plain");
  plain.connect();
  HEARS(plain, "CONNACK 00");
  plain.auth(kAgain, "proof", "TEST");
  HEARS(plain, "DISCONNECT 82 | closed");
}

TEST(EnhancedAuth, reauthentication_is_answered_by_auth_success) {
  start();
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept("bob"); };
  client.connect();
  HEARS(client, "CONNACK 00");
  std::string told;
  plugin.on_step = [&](const AuthStep& step, AuthReply reply) {
    told = text(step);
    CHECK(step.state == nullptr);
    reply.accept_with("once more");
  };
  client.auth(kAgain, "proof");
  HEARS(client, "AUTH 00 once more");
  STRCMP_EQUAL("sensor7/bob/TEST/proof/again", told.c_str());
  client.auth(kAgain, "");
  HEARS(client, "AUTH 00 once more");
  STRCMP_EQUAL("sensor7/bob/TEST/-/again", told.c_str());
}

TEST(EnhancedAuth, reauthentication_in_several_steps) {
  start();
  enter();
  int alive = 0;
  plugin.on_step = [&](const AuthStep& step, AuthReply reply) {
    if (step.state != nullptr && static_cast<Steps&>(*step.state).done == 2) return reply.accept_with("done");
    reply.challenge(text(step), Ref<AuthState>::adopt(new Steps(alive, step.state == nullptr ? 1 : 2)));
  };
  client.auth(kAgain, "1");
  HEARS(client, "AUTH 18 sensor7/-/TEST/1/again");
  client.ping();
  HEARS(client, "PINGRESP");
  client.auth(kContinue, "2");
  HEARS(client, "AUTH 18 sensor7/-/TEST/2/again");
  client.auth(kContinue, "3");
  HEARS(client, "AUTH 00 done");
  LONGS_EQUAL(0, alive);
}

TEST(EnhancedAuth, all_else_goes_on_while_the_plugin_thinks_about_a_reauthentication) {
  start();
  enter();
  keep_steps();
  client.auth(kAgain, "proof");
  client.ping();
  client.subscribe("a", 1);
  client.publish("a", "hello");
  HEARS(client, "PINGRESP | SUBACK 00 | PUBLISH a hello");
  replies.back().accept();
  HEARS(client, "AUTH 00");
}

TEST(EnhancedAuth, failed_reauthentication_disconnects_and_publishes_the_will) {
  start();
  TranscriptClient watcher(world.broker.network(), "watcher");
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
  watcher.connect();
  watcher.subscribe("gone", 1);
  HEARS(watcher, "CONNACK 00 | SUBACK 00");
  client.connect({.will_topic = "gone"});
  HEARS(client, "CONNACK 00");
  plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.reject(ReasonCode::kNotAuthorized, "no more"); };
  client.auth(kAgain, "proof");
  HEARS(client, "DISCONNECT 87 | closed");
  HEARS(watcher, "PUBLISH gone will");
}

TEST(EnhancedAuth, code_that_disconnect_cannot_carry_becomes_not_authorized) {
  check_again([](const AuthStep&, AuthReply reply) { reply.reject(ReasonCode::kBadUserNameOrPassword, "wrong"); },
              "DISCONNECT 87 | closed");
}

TEST(EnhancedAuth, code_that_disconnect_can_carry_is_kept) {
  check_again([](const AuthStep&, AuthReply reply) { reply.reject(ReasonCode::kServerBusy, "busy"); },
              "DISCONNECT 89 | closed");
}

TEST(EnhancedAuth, pass_of_the_last_fails_a_reauthentication) {
  check_again([](const AuthStep&, AuthReply reply) { reply.pass(); }, "DISCONNECT 87 | closed");
}

TEST(EnhancedAuth, reauthentication_under_another_name_is_refused) {
  check_again([](const AuthStep&, AuthReply reply) { reply.accept("mallory"); }, "DISCONNECT 87 | closed");
}

TEST(EnhancedAuth, no_name_and_an_empty_name_are_two_identities) {
  check_again([](const AuthStep&, AuthReply reply) { reply.accept(""); }, "DISCONNECT 87 | closed");
}

TEST(EnhancedAuth, reauthentication_under_the_same_name_succeeds) {
  start();
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept("bob"); };
  client.connect();
  HEARS(client, "CONNACK 00");
  plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.accept("bob"); };
  client.auth(kAgain, "proof");
  HEARS(client, "AUTH 00");
}

TEST(EnhancedAuth, no_answer_in_time_fails_a_reauthentication) {
  start();
  enter();
  keep_steps();
  client.auth(kAgain, "proof");
  HEARS(client, "");
  world.broker.pass(2s);
  HEARS(client, "DISCONNECT 87 | closed");
}

TEST(EnhancedAuth, auth_that_was_not_asked_for_is_a_protocol_error) {
  start();
  enter();
  client.auth(kContinue, "proof");
  HEARS(client, "DISCONNECT 82 | closed");
}

TEST(EnhancedAuth, auth_while_the_plugin_is_asked_is_a_protocol_error) {
  start();
  for (const ReasonCode code : {kContinue, kAgain}) {
    plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.accept(); };
    enter();
    keep_steps();
    client.auth(kAgain, "proof");
    HEARS(client, "");
    client.auth(code, "impatient");
    HEARS(client, "DISCONNECT 82 | closed");
    replies.back().accept();
    HEARS(client, "");
  }
}

TEST(EnhancedAuth, second_reauthentication_while_one_is_challenged_is_a_protocol_error) {
  start();
  enter();
  plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.challenge("nonce"); };
  client.auth(kAgain, "proof");
  HEARS(client, "AUTH 18 nonce");
  client.auth(kAgain, "proof");
  HEARS(client, "DISCONNECT 82 | closed");
}

TEST(EnhancedAuth, reauthentication_that_its_client_does_not_go_on_with_fails_in_time) {
  start();
  enter();
  int alive = 0;
  plugin.on_step = [&](const AuthStep& step, AuthReply reply) {
    if (step.state != nullptr) return reply.accept();
    reply.challenge("nonce", Ref<AuthState>::adopt(new Steps(alive, 1)));
  };
  client.auth(kAgain, "proof");
  HEARS(client, "AUTH 18 nonce");
  world.broker.pass(9s);
  client.auth(kContinue, "proof");
  HEARS(client, "AUTH 00");
  world.broker.pass(9s);
  client.auth(kAgain, "proof");
  HEARS(client, "AUTH 18 nonce");
  for (int second = 0; second != 9; ++second) {
    world.broker.pass(1s);
    client.ping();
    HEARS(client, "PINGRESP");
  }
  world.broker.pass(2s);
  HEARS(client, "DISCONNECT 87 | closed");
  LONGS_EQUAL(0, alive);
}

TEST(EnhancedAuth, reauthentication_by_another_method_is_a_protocol_error) {
  start();
  enter();
  client.auth(kAgain, "proof", "OTHER");
  HEARS(client, "DISCONNECT 82 | closed");
}

TEST(EnhancedAuth, auth_success_larger_than_the_client_takes_disconnects) {
  start();
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
  client.connect({.maximum_packet_size = 60});
  HEARS(client, "CONNACK 00");
  plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.accept_with(std::string(100, 'x')); };
  client.auth(kAgain, "proof");
  HEARS(client, "DISCONNECT 95 | closed");
}

TEST(EnhancedAuth, take_over_ends_a_reauthentication_under_way) {
  start();
  enter();
  keep_steps();
  client.auth(kAgain, "proof");
  HEARS(client, "");
  TranscriptClient other(world.broker.network(), "sensor7", "TEST");
  plugin.on_connect = [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
  other.connect();
  HEARS(other, "CONNACK 00");
  STRCMP_EQUAL("DISCONNECT 8e | closed", client.take().c_str());
  replies.back().reject(ReasonCode::kNotAuthorized, "too late");
  other.ping();
  HEARS(other, "PINGRESP");
}

TEST(EnhancedAuth, whoever_is_still_being_authenticated_takes_nothing_over) {
  start();
  enter();
  TranscriptClient other(world.broker.network(), "sensor7", "TEST");
  other.connect();
  HEARS(other, "AUTH 18 nonce");
  client.ping();
  HEARS(client, "PINGRESP");
  plugin.on_step = [](const AuthStep&, AuthReply reply) { reply.reject(ReasonCode::kNotAuthorized, "no"); };
  other.auth(kContinue, "guess");
  HEARS(other, "CONNACK 87 | closed");
  client.ping();
  HEARS(client, "PINGRESP");
}

TEST(EnhancedAuth, broker_that_stops_ends_a_reauthentication_under_way) {
  start();
  enter();
  keep_steps();
  client.auth(kAgain, "proof");
  HEARS(client, "");
  world.stop();
  STRCMP_EQUAL("DISCONNECT 8b | closed", client.take().c_str());
  replies.back().accept();
}

// ---- several reactors ----------------------------------------------------------------------------------------------

TEST_GROUP(EnhancedAuthOnReactors){};

// The session lives on one reactor, its client comes back to any: the exchange is held where the client arrived, and
// what is left of it (the CONNECT, the last data, the method for later) moves with the connection.
TEST(EnhancedAuthOnReactors, exchange_goes_on_where_the_session_lives) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed, 4);
    world.broker.network().set_faults({.split = seed % 2 == 0});
    ScriptedExchange plugin;
    int alive = 0;
    bool at_once = seed % 4 < 2;
    std::vector<AuthReply> replies;
    plugin.on_connect = [&](const ConnectRequest&, AuthReply reply) {
      reply.challenge("nonce", Ref<AuthState>::adopt(new Steps(alive, 1)));
    };
    plugin.on_step = [&](const AuthStep& step, AuthReply reply) {
      if (step.reauthenticates) return reply.accept_with("again");
      if (at_once) return reply.accept_with("done");
      replies.push_back(std::move(reply));
    };
    world.add(plugin);
    world.start();
    TranscriptClient client(world.broker.network(), "sensor7", "TEST");
    bool present = false;
    for (int round = 0; round != 4; ++round) {
      client.connect({.clean_start = false, .expiry_interval = 1000});
      HEARS(client, "AUTH 18 nonce");
      client.hold();
      client.auth(kContinue, "proof");
      client.subscribe("a", 1);
      client.publish("a", "hello");
      client.release();
      CHECK(world.broker.settle());
      if (!at_once) replies.back().accept_with("done");
      const std::string expected =
          std::string("CONNACK 00 ") + (present ? "present " : "") + "done | SUBACK 00 | PUBLISH a hello";
      HEARS(client, expected.c_str());
      LONGS_EQUAL(0, alive);
      client.auth(kAgain, "proof");
      HEARS(client, "AUTH 00 again");
      client.reset();
      CHECK(world.broker.settle());
      present = true;
    }
  }
}
