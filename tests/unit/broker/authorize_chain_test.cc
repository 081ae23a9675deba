// Chains of authorizers: what they make of their plugins' answers, at once and later.
#include <memory>
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

ScriptedAuthorizer::Script allows() {
  return [](const Access&, AuthorizeReply reply) { reply.allow(); };
}
ScriptedAuthorizer::Script checks() {
  return [](const Access&, AuthorizeReply reply) { reply.check_each_delivery(); };
}
ScriptedAuthorizer::Script denies(std::string rule) {
  return [rule](const Access&, AuthorizeReply reply) { reply.deny(rule); };
}
ScriptedAuthorizer::Script has_no_opinion() {
  return [](const Access&, AuthorizeReply reply) { reply.pass(); };
}
ScriptedAuthorizer::Script keeps(std::vector<AuthorizeReply>& replies) {
  return [&replies](const Access&, AuthorizeReply reply) { replies.push_back(std::move(reply)); };
}

}  // namespace

TEST_GROUP(AuthorizeChain) {
  Bench bench;
  Client client;
  std::vector<std::unique_ptr<ScriptedAuthorizer>> plugins;
  std::vector<AuthorizeReply> replies;

  void open(std::vector<ScriptedAuthorizer::Script> scripts) {
    for (auto& script : scripts) {
      plugins.push_back(std::make_unique<ScriptedAuthorizer>(std::move(script)));
      bench.add(*plugins.back());
    }
    bench.open();
  }
  AccessVerdict decide(std::vector<ScriptedAuthorizer::Script> scripts) {
    open(std::move(scripts));
    auto verdict = bench.access(client);
    CHECK_TRUE(verdict.has_value());
    return verdict.value_or(AccessVerdict{});
  }
};

TEST(AuthorizeChain, empty_one_allows) {
  const AccessVerdict verdict = decide({});
  CHECK_TRUE(verdict.allowed);
  POINTERS_EQUAL(nullptr, verdict.by);
}

TEST(AuthorizeChain, one_allow_is_needed) {
  CHECK_TRUE(decide({has_no_opinion(), allows(), has_no_opinion()}).allowed);
}

TEST(AuthorizeChain, nobody_with_an_opinion_denies) {
  const AccessVerdict verdict = decide({has_no_opinion(), has_no_opinion()});
  CHECK_FALSE(verdict.allowed);
  POINTERS_EQUAL(nullptr, verdict.by);
}

TEST(AuthorizeChain, any_deny_wins_over_an_earlier_allow) {
  const AccessVerdict verdict = decide({allows(), denies("rules.acl:12")});
  CHECK_FALSE(verdict.allowed);
  STRCMP_EQUAL("p1", verdict.by->name.c_str());
  STRCMP_EQUAL("rules.acl:12", verdict.rule.c_str());
}

TEST(AuthorizeChain, nobody_is_asked_after_a_deny) {
  CHECK_FALSE(decide({denies("first"), allows()}).allowed);
  LONGS_EQUAL(0, bench.hooks->statistics(1).calls.value());
}

TEST(AuthorizeChain, whole_filter_is_allowed_only_by_who_says_so) {
  const AccessVerdict verdict = decide({checks(), has_no_opinion()});
  CHECK_TRUE(verdict.allowed);
  CHECK_TRUE(verdict.each_delivery);
  CHECK_FALSE(verdict.whole);
}

TEST(AuthorizeChain, one_who_wants_to_check_is_enough_to_check) {
  const AccessVerdict verdict = decide({allows(), checks()});
  CHECK_TRUE(verdict.allowed);
  CHECK_TRUE(verdict.each_delivery);
  CHECK_TRUE(verdict.whole);
}

TEST(AuthorizeChain, deny_wins_over_a_check) { CHECK_FALSE(decide({checks(), denies("rules.acl:12")}).allowed); }

TEST(AuthorizeChain, check_is_no_allow_where_the_whole_filter_is_wanted) {
  open({checks()});
  const auto verdict = bench.access(client, "a/#", AccessKind::kSubscribe, SubscribeRule::kSubset);
  CHECK_FALSE(verdict->allowed);
  STRCMP_EQUAL("allowed for some topics only", verdict->rule.c_str());
}

TEST(AuthorizeChain, check_is_no_answer_to_a_publish) {
  open({checks()});
  CHECK_FALSE(bench.access(client, "a/b", AccessKind::kPublish)->allowed);
}

TEST(AuthorizeChain, late_check_counts_too) {
  open({keeps(replies)});
  CHECK_FALSE(bench.access(client).has_value());
  replies[0].check_each_delivery();
  bench.loop.turn();
  CHECK_TRUE(client.access->allowed);
  CHECK_TRUE(client.access->each_delivery);
}

TEST(AuthorizeChain, exception_denies) {
  CHECK_FALSE(decide({allows(), [](const Access&, AuthorizeReply) { throw std::bad_alloc(); }}).allowed);
}

TEST(AuthorizeChain, dropped_reply_denies) {
  CHECK_FALSE(decide({allows(), [](const Access&, AuthorizeReply) {}}).allowed);
}

TEST(AuthorizeChain, late_allow_counts_and_the_rest_is_asked) {
  std::string topic;
  open({keeps(replies), [&](const Access& access, AuthorizeReply reply) {
          topic = access.topic;
          CHECK(access.kind == AccessKind::kSubscribe);
          reply.pass();
        }});
  CHECK_FALSE(bench.access(client, "house/+/light").has_value());
  replies[0].allow();
  bench.loop.turn();
  CHECK_TRUE(client.access->allowed);
  STRCMP_EQUAL("p0", client.access->by->name.c_str());
  STRCMP_EQUAL("house/+/light", topic.c_str());
}

TEST(AuthorizeChain, earlier_allow_does_not_outweigh_a_late_deny) {
  open({allows(), keeps(replies)});
  CHECK_FALSE(bench.access(client).has_value());
  replies[0].deny("quota");
  bench.loop.turn();
  CHECK_FALSE(client.access->allowed);
  STRCMP_EQUAL("quota", client.access->rule.c_str());
}

TEST(AuthorizeChain, earlier_allow_stands_when_a_late_plugin_has_no_opinion) {
  open({allows(), keeps(replies)});
  CHECK_FALSE(bench.access(client).has_value());
  replies[0].pass();
  bench.loop.turn();
  CHECK_TRUE(client.access->allowed);
}

TEST(AuthorizeChain, deadline_denies_whatever_was_allowed_before) {
  open({allows(), keeps(replies)});
  CHECK_FALSE(bench.access(client).has_value());
  bench.loop.pass(2s);
  CHECK_FALSE(client.access->allowed);
  STRCMP_EQUAL("no answer in time", client.access->rule.c_str());
}

TEST(AuthorizeChain, deadline_with_on_timeout_pass_is_no_opinion) {
  plugins.push_back(std::make_unique<ScriptedAuthorizer>(allows()));
  bench.add(*plugins.back());
  plugins.push_back(std::make_unique<ScriptedAuthorizer>(keeps(replies)));
  bench.add(*plugins.back()).on_timeout = OnTimeout::kPass;
  bench.open();
  CHECK_FALSE(bench.access(client).has_value());
  bench.loop.pass(2s);
  CHECK_TRUE(client.access->allowed);
}
