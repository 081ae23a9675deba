// Chains of authenticators: what they make of their plugins' answers, at once and later.
#include <memory>
#include <stdexcept>
#include <string>
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

ScriptedAuthenticator::Script accepts() {
  return [](const ConnectRequest&, AuthReply reply) { reply.accept(); };
}
ScriptedAuthenticator::Script rejects(ReasonCode code, std::string reason) {
  return [code, reason](const ConnectRequest&, AuthReply reply) { reply.reject(code, reason); };
}
ScriptedAuthenticator::Script passes() {
  return [](const ConnectRequest&, AuthReply reply) { reply.pass(); };
}
// Keeps the reply for the test to answer.
ScriptedAuthenticator::Script keeps(std::vector<AuthReply>& replies) {
  return [&replies](const ConnectRequest&, AuthReply reply) { replies.push_back(std::move(reply)); };
}

}  // namespace

// ---- authenticate, inside the hook ----------------------------------------------------------------------------------

TEST_GROUP(AuthenticateChain) {
  Bench bench;
  Client client;

  AuthVerdict decide(std::vector<ScriptedAuthenticator::Script> scripts) {
    std::vector<std::unique_ptr<ScriptedAuthenticator>> plugins;
    for (auto& script : scripts) {
      plugins.push_back(std::make_unique<ScriptedAuthenticator>(std::move(script)));
      bench.add(*plugins.back());
    }
    bench.open();
    auto verdict = bench.connect(client);
    CHECK_TRUE(verdict.has_value());
    CHECK_FALSE(client.run.waiting());
    LONGS_EQUAL(0, client.calls);
    return verdict.value_or(AuthVerdict{});
  }
};

TEST(AuthenticateChain, empty_one_decides_nothing) { CHECK(decide({}).outcome == AuthOutcome::kPassed); }

TEST(AuthenticateChain, first_accept_wins) {
  const AuthVerdict verdict = decide({passes(), accepts(), rejects(ReasonCode::kBanned, "never asked")});
  CHECK(verdict.outcome == AuthOutcome::kAccepted);
  STRCMP_EQUAL("p1", verdict.by->name.c_str());
  CHECK_FALSE(verdict.user_name.has_value());
  LONGS_EQUAL(0, bench.hooks->statistics(2).calls.value());
}

TEST(AuthenticateChain, first_reject_wins) {
  const AuthVerdict verdict =
      decide({passes(), rejects(ReasonCode::kBadUserNameOrPassword, "unknown badge"), accepts()});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  CHECK(verdict.code == ReasonCode::kBadUserNameOrPassword);
  STRCMP_EQUAL("p1", verdict.by->name.c_str());
  STRCMP_EQUAL("unknown badge", verdict.reason.c_str());
}

TEST(AuthenticateChain, cve_2021_46434_log_may_be_told_what_the_client_is_not) {
  const AuthVerdict verdict = decide({[](const ConnectRequest&, AuthReply reply) {
    reply.reject(ReasonCode::kBadUserNameOrPassword, "bad user name or password", "unknown_user");
  }});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  STRCMP_EQUAL("bad user name or password", verdict.reason.c_str());
  STRCMP_EQUAL("unknown_user", verdict.log_reason.c_str());
}

TEST(AuthenticateChain, after_the_last_pass_nobody_has_decided) {
  const AuthVerdict verdict = decide({passes(), passes()});
  CHECK(verdict.outcome == AuthOutcome::kPassed);
  POINTERS_EQUAL(nullptr, verdict.by);
}

TEST(AuthenticateChain, plugin_may_give_the_client_another_name) {
  const AuthVerdict verdict = decide({[](const ConnectRequest&, AuthReply reply) { reply.accept("alice"); }});
  CHECK(verdict.outcome == AuthOutcome::kAccepted);
  STRCMP_EQUAL("alice", verdict.user_name.value_or("").c_str());
}

TEST(AuthenticateChain, only_the_first_answer_counts) {
  const AuthVerdict verdict = decide({[](const ConnectRequest&, AuthReply reply) {
    reply.reject(ReasonCode::kBanned, "first");
    reply.accept("second");
  }});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  STRCMP_EQUAL("first", verdict.reason.c_str());
  CHECK_FALSE(verdict.user_name.has_value());
}

TEST(AuthenticateChain, reply_dropped_unanswered_rejects) {
  const AuthVerdict verdict = decide({[](const ConnectRequest&, AuthReply) {}, accepts()});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  CHECK(verdict.code == ReasonCode::kServerUnavailable);
  LONGS_EQUAL(1, bench.hooks->statistics(0).dropped.value());
}

TEST(AuthenticateChain, exception_rejects_and_is_logged_but_not_told_to_the_client) {
  const AuthVerdict verdict =
      decide({[](const ConnectRequest&, AuthReply) { throw std::runtime_error("db password is 1234"); }, accepts()});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  CHECK(verdict.code == ReasonCode::kImplementationSpecificError);
  STRCMP_EQUAL("the plugin failed", verdict.reason.c_str());
  LONGS_EQUAL(1, bench.hooks->statistics(0).failed.value());
  LONGS_EQUAL(1, bench.log.lines().size());
  STRCMP_EQUAL("plugin: exception in a hook plugin=p0 what=db password is 1234", bench.log.lines()[0].c_str());
}

TEST(AuthenticateChain, exception_after_an_accept_rejects) {
  const AuthVerdict verdict = decide({[](const ConnectRequest&, AuthReply reply) {
    reply.accept();
    throw 42;
  }});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
}

TEST(AuthenticateChain, exception_while_the_reply_is_kept_rejects_and_the_late_answer_is_ignored) {
  std::vector<AuthReply> replies;
  const AuthVerdict verdict = decide({[&](const ConnectRequest&, AuthReply reply) {
    replies.push_back(std::move(reply));
    throw std::runtime_error("x");
  }});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  replies[0].accept();
  bench.loop.turn();
  LONGS_EQUAL(0, client.calls);
}

TEST(AuthenticateChain, code_that_connack_cannot_carry_becomes_not_authorized) {
  CHECK(decide({rejects(ReasonCode::kPacketIdentifierNotFound, "")}).code == ReasonCode::kNotAuthorized);
}

TEST(AuthenticateChain, reject_with_a_code_of_success_rejects_all_the_same) {
  const AuthVerdict verdict = decide({rejects(ReasonCode::kSuccess, "")});
  CHECK(verdict.outcome == AuthOutcome::kRejected);
  CHECK(verdict.code == ReasonCode::kNotAuthorized);
}

TEST(AuthenticateChain, reason_is_cut_to_what_a_reason_string_may_hold) {
  STRCMP_EQUAL("bad", decide({rejects(ReasonCode::kBanned, std::string("bad\0tail", 8))}).reason.c_str());
}

TEST(AuthenticateChain, reason_ends_before_what_is_not_utf8) {
  STRCMP_EQUAL("bad ", decide({rejects(ReasonCode::kBanned, "bad \xff tail")}).reason.c_str());
}

TEST(AuthenticateChain, long_reason_is_cut_at_a_character) {
  std::string reason;
  while (reason.size() < 3000) reason += "€";
  const std::string cut = decide({rejects(ReasonCode::kBanned, reason)}).reason;
  LONGS_EQUAL(1023, cut.size());
}

TEST(AuthenticateChain, hook_sees_request_connection_and_its_own_local_object) {
  struct Local : PluginLocal {
    explicit Local(int n) : number(n) {}
    int number;
  };
  struct Plugin : ScriptedAuthenticator {
    Plugin(int n, Script script) : ScriptedAuthenticator(std::move(script)), number(n) {}
    std::unique_ptr<PluginLocal> start(ReactorApi&) override { return std::make_unique<Local>(number); }
    int number;
  };
  std::vector<int> numbers;
  const auto look = [&](const ConnectRequest& request, AuthReply reply) {
    numbers.push_back(request.local<Local>().number);
    CHECK(request.connection() == (ConnectionHandle{3, 4}));
    POINTERS_EQUAL(&bench.loop, &request.reactor());
    CHECK(request.client_id == "sensor7");
    CHECK(request.user_name == "bob");
    CHECK(request.listener == "local");
    reply.pass();
  };
  Plugin one(1, look);
  Plugin two(2, look);
  bench.add(one);
  bench.add(two);
  CHECK_TRUE(bench.open().start().ok());
  CHECK_TRUE(bench.connect(client).has_value());
  CHECK(numbers == (std::vector<int>{1, 2}));
}

TEST(AuthenticateChain, plugin_that_throws_in_start_is_named) {
  struct Plugin : ScriptedAuthenticator {
    using ScriptedAuthenticator::ScriptedAuthenticator;
    std::unique_ptr<PluginLocal> start(ReactorApi&) override { throw std::runtime_error("no database"); }
  } plugin(accepts());
  bench.add(plugin);
  const Status status = bench.open().start();
  CHECK(status.message() == "plugin 'p0' cannot start: no database");
}

TEST(AuthenticateChain, decided_inside_the_hooks_costs_no_mail) {
  decide({passes(), accepts()});
  CHECK_FALSE(bench.loop.take_wake());
  LONGS_EQUAL(0, bench.hooks->statistics(1).later.value());
}

TEST(AuthenticateChain, slow_hook_is_counted_and_named_once_a_minute) {
  ScriptedAuthenticator slow([](const ConnectRequest&, AuthReply reply) {
    std::this_thread::sleep_for(3ms);
    reply.accept();
  });
  bench.add(slow);
  bench.open();
  for (int i = 0; i < 65; ++i) CHECK_TRUE(bench.connect(client).has_value());  // calls 1 and 65 are timed
  LONGS_EQUAL(2, bench.hooks->statistics(0).slow.value());
  LONGS_EQUAL(1, bench.log.lines().size());
  CHECK(bench.log.lines()[0].starts_with("plugin: hook held up its reactor plugin=p0 ms="));
  bench.loop.pass(61s);
  for (int i = 0; i < 64; ++i) CHECK_TRUE(bench.connect(client).has_value());
  LONGS_EQUAL(2, bench.log.lines().size());
  CHECK(bench.log.lines()[1].ends_with(" left_out=1"));
}

// ---- authenticate, later --------------------------------------------------------------------------------------------

TEST_GROUP(LateAuthentication) {
  Bench bench;
  Client client;
  std::vector<AuthReply> replies;
  std::vector<std::string> passwords;
};

TEST(LateAuthentication, owner_is_called_when_the_answer_comes) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  CHECK_TRUE(client.run.waiting());
  replies[0].accept("alice");
  LONGS_EQUAL(0, client.calls);  // never from inside the answer
  CHECK_TRUE(bench.loop.take_wake());
  bench.loop.turn();
  LONGS_EQUAL(1, client.calls);
  CHECK(client.auth->outcome == AuthOutcome::kAccepted);
  STRCMP_EQUAL("alice", client.auth->user_name->c_str());
  CHECK_FALSE(client.run.waiting());
  LONGS_EQUAL(1, bench.hooks->statistics(0).later.value());
}

TEST(LateAuthentication, the_next_plugin_is_asked_with_a_copy_of_the_request) {
  ScriptedAuthenticator first(keeps(replies));
  ScriptedAuthenticator second([&](const ConnectRequest& request, AuthReply reply) {
    passwords.emplace_back(request.password);
    CHECK(request.client_id == "sensor7");
    CHECK(request.peer_address == "192.0.2.1:51234");
    CHECK(request.connection() == (ConnectionHandle{3, 4}));
    reply.reject(ReasonCode::kBadUserNameOrPassword, "no");
  });
  bench.add(first);
  bench.add(second);
  bench.open();
  CHECK_FALSE(bench.connect(client, "sensor7", "s3cret").has_value());
  replies[0].pass();
  bench.loop.turn();
  CHECK(passwords == std::vector<std::string>{"s3cret"});
  LONGS_EQUAL(1, client.calls);
  STRCMP_EQUAL("p1", client.auth->by->name.c_str());
}

TEST(LateAuthentication, several_plugins_may_answer_late_one_after_the_other) {
  ScriptedAuthenticator first(keeps(replies));
  ScriptedAuthenticator second(keeps(replies));
  ScriptedAuthenticator third(keeps(replies));
  bench.add(first);
  bench.add(second);
  bench.add(third);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  for (std::size_t i = 0; i < 3; ++i) {
    LONGS_EQUAL(i + 1, replies.size());
    LONGS_EQUAL(0, client.calls);
    replies[i].pass();
    bench.loop.turn();
  }
  LONGS_EQUAL(1, client.calls);
  CHECK(client.auth->outcome == AuthOutcome::kPassed);
}

TEST(LateAuthentication, answer_in_a_later_hook_follows_a_late_one) {
  ScriptedAuthenticator first(passes());
  ScriptedAuthenticator second(keeps(replies));
  ScriptedAuthenticator third(passes());
  ScriptedAuthenticator fourth(accepts());
  for (auto* plugin : {&first, &second, &third, &fourth}) bench.add(*plugin);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  replies[0].pass();
  bench.loop.turn();
  CHECK(client.auth->outcome == AuthOutcome::kAccepted);
  STRCMP_EQUAL("p3", client.auth->by->name.c_str());
}

TEST(LateAuthentication, reply_destroyed_later_rejects) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  replies.clear();
  bench.loop.turn();
  CHECK(client.auth->outcome == AuthOutcome::kRejected);
  LONGS_EQUAL(1, bench.hooks->statistics(0).dropped.value());
}

TEST(LateAuthentication, deadline_denies) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin).timeout = 2s;
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  bench.loop.pass(1999ms);
  LONGS_EQUAL(0, client.calls);
  bench.loop.pass(1ms);
  LONGS_EQUAL(1, client.calls);
  CHECK(client.auth->outcome == AuthOutcome::kRejected);
  CHECK(client.auth->code == ReasonCode::kServerUnavailable);
  STRCMP_EQUAL("no answer in time", client.auth->reason.c_str());
  LONGS_EQUAL(1, bench.hooks->statistics(0).timeouts.value());
  STRCMP_EQUAL("plugin: no answer in time plugin=p0 timeout_ms=2000", bench.log.lines()[0].c_str());
}

TEST(LateAuthentication, answer_after_the_deadline_is_ignored) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin).timeout = 2s;
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  bench.loop.pass(2s);
  CHECK_FALSE(bench.loop.take_wake());
  replies[0].accept();
  CHECK_FALSE(bench.loop.take_wake());
  bench.loop.turn();
  LONGS_EQUAL(1, client.calls);
}

TEST(LateAuthentication, answer_and_deadline_in_the_same_turn_tell_once) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin).timeout = 2s;
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  replies[0].accept();
  bench.loop.pass(2s);
  LONGS_EQUAL(1, client.calls);
  CHECK(client.auth->outcome == AuthOutcome::kAccepted);
  bench.loop.pass(10s);
  LONGS_EQUAL(1, client.calls);
}

TEST(LateAuthentication, deadline_with_on_timeout_pass_asks_the_next_one) {
  ScriptedAuthenticator silent(keeps(replies));
  ScriptedAuthenticator second(accepts());
  PluginInstance& instance = bench.add(silent);
  instance.timeout = 500ms;
  instance.on_timeout = OnTimeout::kPass;
  bench.add(second);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  bench.loop.pass(500ms);
  CHECK(client.auth->outcome == AuthOutcome::kAccepted);
  STRCMP_EQUAL("p1", client.auth->by->name.c_str());
}

TEST(LateAuthentication, late_answer_of_a_step_that_timed_out_does_not_answer_for_the_next_step) {
  ScriptedAuthenticator first(keeps(replies));
  ScriptedAuthenticator second(keeps(replies));
  PluginInstance& instance = bench.add(first);
  instance.timeout = 500ms;
  instance.on_timeout = OnTimeout::kPass;
  bench.add(second);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  bench.loop.pass(500ms);
  LONGS_EQUAL(2, replies.size());
  replies[0].accept();
  bench.loop.turn();
  LONGS_EQUAL(0, client.calls);
  replies[1].reject(ReasonCode::kBanned, "");
  bench.loop.turn();
  CHECK(client.auth->outcome == AuthOutcome::kRejected);
}

TEST(LateAuthentication, infinite_timeout_waits_for_ever) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin).timeout = kInfinite;
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  bench.loop.pass(std::chrono::hours(24 * 365));
  CHECK_TRUE(client.run.waiting());
}

TEST(LateAuthentication, client_that_has_gone_is_never_called) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  client.run.cancel();
  CHECK_FALSE(client.run.waiting());
  replies[0].accept();
  bench.loop.pass(10s);
  LONGS_EQUAL(0, client.calls);
}

TEST(LateAuthentication, client_may_go_while_the_answer_is_in_the_mail) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  auto leaving = std::make_unique<Client>();
  CHECK_FALSE(bench.connect(*leaving).has_value());
  replies[0].accept();
  leaving.reset();
  bench.loop.turn();
  LONGS_EQUAL(0, bench.hooks->statistics(0).timeouts.value());
}

TEST(LateAuthentication, client_may_destroy_itself_when_it_is_told) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  auto leaving = std::make_unique<Client>();
  bool told = false;
  leaving->then = [&] {
    told = true;
    delete leaving.release();
  };
  CHECK_FALSE(bench.connect(*leaving).has_value());
  replies[0].accept();
  bench.loop.turn();
  CHECK_TRUE(told);
  POINTERS_EQUAL(nullptr, leaving.get());
}

TEST(LateAuthentication, client_may_start_the_next_run_when_it_is_told) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  client.then = [&] {
    CHECK_FALSE(client.run.waiting());
    if (client.calls < 3) CHECK_FALSE(bench.connect(client).has_value());
  };
  CHECK_FALSE(bench.connect(client).has_value());
  for (std::size_t i = 0; i < 3; ++i) {
    replies[i].accept();
    bench.loop.turn();
  }
  LONGS_EQUAL(3, client.calls);
}

TEST(LateAuthentication, answer_after_the_reactor_has_stopped_goes_nowhere) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  CHECK_FALSE(bench.connect(*std::make_unique<Client>()).has_value());
  client.run.cancel();
  bench.hooks.reset();
  replies[0].accept();
  replies[1].accept();
  CHECK_FALSE(bench.loop.take_wake());
  bench.loop.turn();
  LONGS_EQUAL(0, client.calls);
}

TEST(LateAuthentication, answer_in_the_mail_when_the_reactor_stops_goes_nowhere) {
  ScriptedAuthenticator plugin(keeps(replies));
  bench.add(plugin);
  bench.open();
  CHECK_FALSE(bench.connect(client).has_value());
  replies[0].accept();
  client.run.cancel();
  bench.hooks.reset();
  bench.loop.turn();
  LONGS_EQUAL(0, client.calls);
}

TEST(LateAuthentication, reply_that_is_kept_after_its_answer_does_not_touch_the_next_client) {
  ScriptedAuthenticator plugin([&](const ConnectRequest&, AuthReply reply) {
    reply.pass();
    replies.push_back(std::move(reply));
  });
  bench.add(plugin);
  bench.open();
  CHECK(bench.connect(client)->outcome == AuthOutcome::kPassed);
  replies[0].accept();
  CHECK(bench.connect(client)->outcome == AuthOutcome::kPassed);
  replies[0].accept();
  replies[1].accept();
  CHECK(bench.connect(client)->outcome == AuthOutcome::kPassed);
}
