// The plugin acl_file: the grammar, the sets of rules, what a list says, and the plugin itself.
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <mqloop/testing/plugin_harness.h>
#include <mqloop/topic.h>

#include "plugins/acl_file/acl_text.h"
#include "plugins/acl_file/policy.h"
#include "plugins/acl_file/rule_set.h"
#include "tests/unit/plugin/plugin_fixture.h"

#include <CppUTest/TestHarness.h>

extern "C" const mqloop_plugin_block* mqloop_builtin_AclFile();

namespace mqloop::acl {
namespace {

std::string mistakes_in(std::string_view text) {
  std::string all;
  for (const Mistake& mistake : read_acl(text).mistakes) {
    all += std::to_string(mistake.line) + ':' + std::to_string(mistake.column) + ": " + mistake.what + '\n';
  }
  return all;
}

std::string rules_of(const std::vector<Rule>& rules) {
  std::string all;
  for (const Rule& rule : rules) {
    all += std::to_string(rule.line) + ' ' + ((rule.rights & kRead) != 0 ? "r" : "") +
           ((rule.rights & kWrite) != 0 ? "w" : "") + ((rule.rights & kDeny) != 0 ? "d" : "") + ' ' +
           std::string(rule.filter) + '\n';
  }
  return all;
}

// Short names for the questions.
struct List {
  explicit List(std::string text) : policy(std::move(text)) { LONGS_EQUAL(0, policy.mistakes().size()); }

  bool reads(std::string_view topic, const Client& client) const { return topic_answer(kRead, topic, client); }
  bool writes(std::string_view topic, const Client& client) const { return topic_answer(kWrite, topic, client); }
  bool topic_answer(Right right, std::string_view topic, const Client& client) const {
    return policy.on_topic(right, topic, !client.user.empty(), client).answer == Answer::kAllow;
  }
  Answer subscribes(std::string_view filter, const Client& client) const {
    return policy.on_filter(filter, !client.user.empty(), client).answer;
  }

  Policy policy;
};

constexpr Client kAnonymous{"c1", ""};
constexpr Client kAlice{"c1", "alice"};
constexpr Client kBob{"c2", "bob"};

}  // namespace

// ---- the grammar ---------------------------------------------------------------------------------------------------

TEST_GROUP(AclText){};

TEST(AclText, rules_are_what_mosquitto_reads) {
  const AclText text = read_acl(
      "# comment\n"
      "\n"
      "topic public/#\n"
      "topic read $SYS/#\n"
      "user alice\n"
      "topic write a/b\n"
      "topic readwrite a c/with spaces\n"
      "user bob the builder\n"
      "topic deny a/+/x\n"
      "pattern read dev/%c/#\n"
      "pattern users/%u/inbox\n"
      "user alice\n"
      "topic read more\n");
  STRCMP_EQUAL("3 rw public/#\n4 r $SYS/#\n", rules_of(text.anonymous).c_str());
  LONGS_EQUAL(3, text.users.size());
  STRCMP_EQUAL("6 w a/b\n7 rw a c/with spaces\n", rules_of(text.users[0].rules).c_str());
  CHECK(text.users[1].user == "bob the builder");
  STRCMP_EQUAL("9 d a/+/x\n", rules_of(text.users[1].rules).c_str());
  STRCMP_EQUAL("10 r dev/%c/#\n11 rw users/%u/inbox\n", rules_of(text.patterns).c_str());
  CHECK(text.users[2].user == "alice");
  LONGS_EQUAL(0, text.mistakes.size());
}

TEST(AclText, crlf_byte_order_mark_blanks_and_a_missing_last_newline_change_nothing) {
  const AclText text =
      read_acl("\xEF\xBB\xBFtopic read a\r\n  \r\n  topic   write   b  \r\n# end\r\n  # end\r\nuser bob");
  STRCMP_EQUAL("", mistakes_in("\xEF\xBB\xBF# only this").c_str());
  STRCMP_EQUAL("1 r a\n3 w b\n", rules_of(text.anonymous).c_str());
  LONGS_EQUAL(0, text.mistakes.size());
}

TEST(AclText, all_mistakes_are_told_at_once_each_with_its_place) {
  STRCMP_EQUAL(
      "1:1: 'topc' is not one of topic, pattern, user; did you mean 'topic'?\n"
      "2:11: 'readwrit' is not one of read, write, readwrite, deny; did you mean 'readwrite'?\n"
      "3:7: 'a' is not one of read, write, readwrite, deny\n"
      "4:5: user needs a name\n"
      "5:6: topic needs a filter\n"
      "6:7: topic needs a filter after 'read'; for the topic 'read' itself write: topic readwrite read\n"
      "7:15: 'a/b#': '#' must fill a whole level\n"
      "8:15: 'a/#/b': '#' may only be the last level\n"
      "9:14: 'a # note': '#' must fill a whole level; a comment needs a line of its own\n"
      "10:14: '%c' must fill a whole level\n"
      "11:16: '%u' must fill a whole level\n"
      "12:12: the rules for a shared subscription are those of its filter: leave $share and its name out\n",
      mistakes_in("topc read a\n"
                  "    topic readwrit a\n"
                  "topic a b\n"
                  "user\n"
                  "topic\n"
                  "topic read\n"
                  "topic read a/b#\n"
                  "topic write a/#/b\n"
                  "topic read a # note\n"
                  "pattern read %cx\n"
                  "pattern write x%u/b\n"
                  "topic read $share/g/a\n")
          .c_str());
}

TEST(AclText, placeholders_are_ordinary_text_in_a_topic_line) {
  const AclText text = read_acl("topic read %u/x%c\npattern read a/%u/%c\n");
  LONGS_EQUAL(0, text.mistakes.size());
  CHECK_FALSE(text.anonymous[0].has_placeholder);
  CHECK_TRUE(text.patterns[0].has_placeholder);
}

TEST(AclText, bytes_that_are_no_utf_8_are_told) {
  STRCMP_CONTAINS("1:13: ", mistakes_in("topic read a\xFF\n").c_str());
}

// ---- sets of rules -------------------------------------------------------------------------------------------------

TEST_GROUP(AclRuleSet){};

// The list asks <mqloop/topic.h> rule by rule; the tree must answer the same.
TEST(AclRuleSet, tree_and_list_agree) {
  std::mt19937 random(20240817);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::string> levels = {"a", "b", "", "$x", "+", "%c", "%u", "c1", "u1"};
  const std::vector<std::string> names = {"c1", "u1", "", "$x", "a", "a/b", "+", "#"};
  std::size_t covered = 0;
  std::size_t overlapped = 0;
  for (int round = 0; round != 300; ++round) {
    std::vector<std::string> texts;
    for (std::size_t i = 1 + below(40); i != 0; --i) {
      std::string text;
      const std::size_t depth = 1 + below(4);
      for (std::size_t level = 0; level != depth; ++level)
        text += (level == 0 ? "" : "/") + levels[below(levels.size())];
      if (below(4) == 0) text += text.empty() ? "#" : "/#";
      if (!text.empty()) texts.push_back(text);
    }
    if (below(3) == 0) texts.emplace_back("#");
    std::vector<Rule> rules;
    for (const std::string& text : texts) {
      constexpr std::uint8_t kSome[] = {kRead, kWrite, kRead | kWrite, kDeny};
      const bool pattern = text.find('%') != std::string::npos && below(4) != 0;
      rules.push_back({text, static_cast<std::uint32_t>(rules.size() + 1), kSome[below(4)], pattern});
    }
    const RuleSet list(rules, 1000);
    const RuleSet tree(rules, 0);
    for (int question = 0; question != 60; ++question) {
      std::string filter;
      const std::size_t depth = 1 + below(4);
      for (std::size_t level = 0; level != depth; ++level) {
        filter += (level == 0 ? "" : "/") + levels[below(question % 2 == 0 ? 4 : 5)];
      }
      if (question % 2 != 0 && below(3) == 0) filter += filter.empty() ? "#" : "/#";
      if (filter.empty()) filter = "#";
      const Client client{names[below(names.size())], names[below(names.size())]};
      const auto right = static_cast<std::uint8_t>(1U << below(3));
      const Rule* by_list = list.covering(right, filter, client);
      const Rule* by_tree = tree.covering(right, filter, client);
      if ((by_list == nullptr) != (by_tree == nullptr) || (by_list != nullptr && by_list->line != by_tree->line)) {
        FAIL(
            ("covering " + filter + " client " + std::string(client.id) + " user " + std::string(client.user)).c_str());
      }
      covered += by_list == nullptr ? 0 : 1;
      std::multiset<std::string> found_by_list;
      std::multiset<std::string> found_by_tree;
      const auto collect = [](std::multiset<std::string>& into) {
        return [&into](const Rule& rule, std::string_view filled) {
          into.insert(std::to_string(rule.line) + std::string(filled));
          return false;
        };
      };
      list.find_overlapping(right, filter, client, collect(found_by_list));
      tree.find_overlapping(right, filter, client, collect(found_by_tree));
      if (found_by_list != found_by_tree) {
        FAIL(("overlapping " + filter + " client " + std::string(client.id) + " user " + std::string(client.user))
                 .c_str());
      }
      overlapped += found_by_list.size();
    }
  }
  CHECK(covered > 1000);
  CHECK(overlapped > 5000);
}

TEST(AclRuleSet, set_that_was_moved_still_answers) {
  std::vector<std::string> texts;
  std::vector<Rule> rules;
  texts.reserve(100);
  for (std::uint32_t i = 0; i != 100; ++i) {
    texts.push_back("a/" + std::to_string(i));
    rules.push_back({texts.back(), i + 1, kRead, false});
  }
  RuleSet from(rules);
  const RuleSet set(std::move(from));
  LONGS_EQUAL(43, set.covering(kRead, "a/42", kAlice)->line);
}

// ---- what a list says ----------------------------------------------------------------------------------------------

TEST_GROUP(AclPolicy){};

TEST(AclPolicy, rules_before_the_first_user_are_for_clients_without_a_user_name) {
  const List list("topic read open\nuser alice\ntopic read hers\n");
  CHECK_TRUE(list.reads("open", kAnonymous));
  CHECK_FALSE(list.reads("open", kAlice));
  CHECK_TRUE(list.reads("hers", kAlice));
  CHECK_FALSE(list.reads("hers", kAnonymous));
  CHECK_FALSE(list.reads("hers", kBob));
}

TEST(AclPolicy, patterns_are_everybodys_wherever_they_stand) {
  const List list("user alice\ntopic read hers\npattern write in/%c\npattern read all\n");
  CHECK_TRUE(list.writes("in/c1", kAlice));
  CHECK_TRUE(list.writes("in/c2", kBob));
  CHECK_TRUE(list.writes("in/c1", kAnonymous));
  CHECK_FALSE(list.writes("in/c2", kAlice));
  CHECK_TRUE(list.reads("all", kAnonymous));
}

TEST(AclPolicy, sections_of_one_user_hold_together) {
  const List list("user alice\ntopic read a\nuser bob\ntopic read b\nuser alice\ntopic read c\n");
  CHECK_TRUE(list.reads("a", kAlice));
  CHECK_TRUE(list.reads("c", kAlice));
  CHECK_FALSE(list.reads("b", kAlice));
}

TEST(AclPolicy, any_deny_wins_wherever_it_stands) {
  const List list("user alice\ntopic deny a/secret\ntopic a/#\npattern deny a/%c\nuser bob\ntopic a/#\n");
  CHECK_TRUE(list.reads("a/open", kAlice));
  CHECK_FALSE(list.reads("a/secret", kAlice));
  CHECK_FALSE(list.writes("a/secret", kAlice));
  CHECK_FALSE(list.reads("a/c1", kAlice));
  CHECK_TRUE(list.reads("a/secret", kBob));
  CHECK_FALSE(list.reads("a/c2", kBob));
}

TEST(AclPolicy, rights_to_read_and_to_write_are_two) {
  const List list("topic read r\ntopic write w\ntopic rw\ntopic readwrite rw2\n");
  CHECK_TRUE(list.reads("r", kAnonymous));
  CHECK_FALSE(list.writes("r", kAnonymous));
  CHECK_TRUE(list.writes("w", kAnonymous));
  CHECK_FALSE(list.reads("w", kAnonymous));
  CHECK_TRUE(list.reads("rw", kAnonymous) && list.writes("rw", kAnonymous));
  CHECK_TRUE(list.reads("rw2", kAnonymous) && list.writes("rw2", kAnonymous));
}

TEST(AclPolicy, wildcards_do_not_reach_topics_that_begin_with_a_dollar) {
  const List list("topic #\ntopic +/x\nuser alice\ntopic read $SYS/#\n");
  CHECK_FALSE(list.reads("$SYS/x", kAnonymous));
  CHECK_TRUE(list.reads("a/x", kAnonymous));
  CHECK_TRUE(list.reads("$SYS/x", kAlice));
  CHECK(list.subscribes("$SYS/#", kAnonymous) == Answer::kDeny);
  CHECK(list.subscribes("#", kAnonymous) == Answer::kAllow);
}

TEST(AclPolicy, filter_is_allowed_in_whole_in_part_or_not) {
  const List list("user alice\ntopic read a/#\ntopic write b/#\ntopic deny a/secret/#\ntopic read c/+/d\n");
  CHECK(list.subscribes("a/open/+", kAlice) == Answer::kAllow);
  CHECK(list.subscribes("a/#", kAlice) == Answer::kAllowSome);
  CHECK(list.subscribes("#", kAlice) == Answer::kAllowSome);
  CHECK(list.subscribes("a/secret/x", kAlice) == Answer::kDeny);
  CHECK(list.subscribes("b/#", kAlice) == Answer::kDeny);  // to write is not to read
  CHECK(list.subscribes("c/+/d", kAlice) == Answer::kAllow);
  CHECK(list.subscribes("c/#", kAlice) == Answer::kAllowSome);
  CHECK(list.subscribes("c/x", kAlice) == Answer::kDeny);
  CHECK(list.subscribes("a/#", kBob) == Answer::kDeny);
}

TEST(AclPolicy, filter_of_which_every_allowed_topic_is_denied_is_refused) {
  const List list("topic read a/b\ntopic deny a/b\ntopic read c/+/x\ntopic deny c/#\n");
  CHECK(list.subscribes("a/+", kAnonymous) == Answer::kDeny);
  CHECK(list.subscribes("#", kAnonymous) == Answer::kDeny);
  LONGS_EQUAL(2, list.policy.on_filter("a/+", false, kAnonymous).rule->line);
}

TEST(AclPolicy, decision_names_the_line) {
  const List list("\n# x\ntopic a/#\ntopic deny a/b\n");
  LONGS_EQUAL(3, list.policy.on_topic(kRead, "a/c", false, kAnonymous).rule->line);
  LONGS_EQUAL(4, list.policy.on_topic(kRead, "a/b", false, kAnonymous).rule->line);
  POINTERS_EQUAL(nullptr, list.policy.on_topic(kRead, "z", false, kAnonymous).rule);
}

TEST(AclPolicy, cve_2018_12550_list_without_rules_denies_everything) {
  for (const char* text :
       {"", "\n\n", "# only\n# comments\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF# x\r\n", "user alice\n", " \t\r\n"}) {
    const List list(text);
    for (const Client& client : {kAnonymous, kAlice}) {
      CHECK_FALSE(list.reads("a", client));
      CHECK_FALSE(list.writes("a", client));
      CHECK(list.subscribes("#", client) == Answer::kDeny);
    }
  }
}

TEST(AclPolicy, cve_2017_7650_name_with_a_wildcard_fills_no_pattern) {
  const List list("pattern read c/%c/x\npattern write u/%u/#\npattern read %u\n");
  for (const char* name : {"#", "+", "a/b", "/", "a+", "#a", "+/#"}) {
    const Client client{name, name};
    for (const char* topic : {"c/a/x", "c/#/x", "u/a", "u/a/b", "u/+/b", "a"}) {
      CHECK_FALSE(list.reads(topic, client));
      CHECK_FALSE(list.writes(topic, client));
    }
    CHECK(list.subscribes("#", client) == Answer::kDeny);
    CHECK(list.subscribes("c/#", client) == Answer::kDeny);
  }
  CHECK_FALSE(list.writes("u//x", kAnonymous));  // no name is no empty name
}

// Whatever the names are, a pattern grants what its text with the names as plain texts grants, and no more.
TEST(AclPolicy, cve_2026_85724_pattern_grants_no_more_than_its_literal_expansion) {
  std::mt19937 random(7);
  const std::string letters = "ab/+#%cu$";
  const auto word = [&](std::size_t most) {
    std::string text;
    for (std::size_t i = random() % (most + 1); i != 0; --i) text += letters[random() % letters.size()];
    return text;
  };
  const List list("pattern read t/%u/#\npattern read %c/x\npattern read t/+/%c\n");
  std::size_t granted = 0;
  for (int i = 0; i != 200'000; ++i) {
    const std::string id = i % 2 == 0 ? word(3) : "a";
    const std::string user = word(3);
    std::string topic = (i % 3 == 0 ? "" : "t/") + word(4);
    if (i % 5 == 0) topic = "t/" + user + "/x";
    if (topic.empty() || topic.find_first_of("+#") != std::string::npos) continue;
    if (!list.reads(topic, {id, user})) continue;
    ++granted;
    const auto plain = [](const std::string& name) {
      return name.find_first_of("/+#") == std::string::npos && !name.empty();
    };
    bool literal = false;
    if (plain(user)) literal |= topic == "t/" + user || topic.starts_with("t/" + user + '/');
    if (plain(id)) literal |= topic == id + "/x" || (topic.starts_with("t/") && topic.ends_with('/' + id));
    CHECK_TRUE_TEXT(literal, (topic + " for id " + id + " user " + user).c_str());
  }
  CHECK(granted > 1000);
}

TEST(AclPolicy, cve_2026_44838_names_are_no_expressions) {
  const List list("pattern read d/%c\n");
  for (const char* name : {".*", "a|b", "[a-z]", "(a)", "\\w", "a.", "^a$", "%c", "%u", "?"}) {
    CHECK_TRUE(list.reads("d/" + std::string(name), {name, ""}));
    CHECK_FALSE(list.reads("d/a", {name, ""}));
    CHECK_FALSE(list.reads("d/ab", {name, ""}));
  }
}

TEST(AclPolicy, cve_2026_58214_name_that_begins_with_a_dollar_reaches_no_topics_of_the_brokers_own) {
  const List list("pattern %u/#\npattern read x/%u\n");
  CHECK_FALSE(list.reads("$SYS/broker", {"c1", "$SYS"}));
  CHECK(list.subscribes("$SYS/#", {"c1", "$SYS"}) == Answer::kDeny);
  CHECK_TRUE(list.reads("x/$SYS", {"c1", "$SYS"}));
}

TEST(AclPolicy, many_users_and_many_rules_answer_like_few) {
  std::string text;
  for (int i = 0; i != 2000; ++i) {
    text += "user u" + std::to_string(i) + "\ntopic read own/" + std::to_string(i) + "/#\n";
  }
  text += "user big\n";
  for (int i = 0; i != 2000; ++i) text += "topic read site/" + std::to_string(i) + "/+\n";
  text += "topic deny site/77/secret\n";
  const List list(text);
  CHECK_TRUE(list.reads("own/1234/x", {"c", "u1234"}));
  CHECK_FALSE(list.reads("own/1234/x", {"c", "u1235"}));
  CHECK_TRUE(list.reads("site/77/open", {"c", "big"}));
  CHECK_FALSE(list.reads("site/77/secret", {"c", "big"}));
  CHECK_FALSE(list.reads("site/2000/open", {"c", "big"}));
  CHECK(list.subscribes("site/+/secret", {"c", "big"}) == Answer::kAllowSome);
  CHECK(list.subscribes("site/78/+", {"c", "big"}) == Answer::kAllow);
}

// ---- the plugin ----------------------------------------------------------------------------------------------------

TEST_GROUP(AclFile) {
  plugin_test::Folder folder;
  testing::PluginHarness plugin{mqloop_builtin_AclFile};
  const testing::TestClient alice{.client_id = "c1", .user_name = "alice"};

  Status configure(const std::string& text) {
    return plugin.configure("file: " + folder.write("rules.acl", text) + "\n");
  }
};

TEST(AclFile, answers_with_file_and_line) {
  CHECK_TRUE(configure("user alice\ntopic a/#\ntopic deny a/secret\n").ok());
  CHECK(plugin.authorize(alice, AccessKind::kPublish, "a/b").result == testing::AccessResult::kAllowed);
  CHECK(plugin.authorize(alice, AccessKind::kWill, "a/b").result == testing::AccessResult::kAllowed);
  const testing::AccessAnswer denied = plugin.authorize(alice, AccessKind::kPublish, "a/secret");
  CHECK(denied.result == testing::AccessResult::kDenied);
  STRCMP_EQUAL("rules.acl:3", denied.rule.c_str());
  STRCMP_EQUAL("no rule of rules.acl allows it", plugin.authorize(alice, AccessKind::kWill, "b").rule.c_str());
  STRCMP_EQUAL("no rule of rules.acl allows it",
               plugin.authorize({.client_id = "c1"}, AccessKind::kPublish, "a/b").rule.c_str());
}

TEST(AclFile, filter_that_is_allowed_in_part_is_checked_at_delivery_or_refused) {
  CHECK_TRUE(configure("user alice\ntopic read a/#\ntopic deny a/secret\n").ok());
  CHECK(plugin.authorize(alice, AccessKind::kSubscribe, "a/#").result == testing::AccessResult::kChecked);
  CHECK(plugin.authorize(alice, AccessKind::kSubscribe, "a/b").result == testing::AccessResult::kAllowed);
  CHECK(plugin.authorize(alice, AccessKind::kSubscribe, "b").result == testing::AccessResult::kDenied);
  plugin.set_subscribe_rule(SubscribeRule::kSubset);
  const testing::AccessAnswer refused = plugin.authorize(alice, AccessKind::kSubscribe, "a/#");
  CHECK(refused.result == testing::AccessResult::kDenied);
  STRCMP_EQUAL("rules.acl allows only some topics of this filter", refused.rule.c_str());
  CHECK(plugin.authorize(alice, AccessKind::kSubscribe, "a/b").result == testing::AccessResult::kAllowed);
}

TEST(AclFile, deliveries_are_reads_and_rights_of_publishers_are_writes) {
  CHECK_TRUE(configure("user alice\ntopic read r\ntopic write w\n").ok());
  CHECK(plugin.authorize_delivery(alice, AccessKind::kReceive, "r").result == testing::AccessResult::kAllowed);
  CHECK(plugin.authorize_delivery(alice, AccessKind::kReceive, "w").result == testing::AccessResult::kDenied);
  CHECK(plugin.authorize_delivery(alice, AccessKind::kPublish, "w").result == testing::AccessResult::kAllowed);
  STRCMP_EQUAL("no rule of rules.acl allows it",
               plugin.authorize_delivery(alice, AccessKind::kPublish, "r").rule.c_str());
}

TEST(AclFile, mistakes_keep_it_from_being_configured) {
  const Status status = configure("topic readwrit a\nuser\n");
  CHECK_FALSE(status.ok());
  STRCMP_EQUAL(
      "rules.acl:1:7: 'readwrit' is not one of read, write, readwrite, deny; did you mean 'readwrite'?\n"
      "rules.acl:2:5: user needs a name",
      std::string(status.message()).c_str());
}

TEST(AclFile, file_that_is_missing_or_cannot_be_read_keeps_it_from_being_configured) {
  const Status missing = plugin.configure("file: " + folder.path() + "/none.acl\n");
  CHECK(missing.code() == StatusCode::kNotFound);
  STRCMP_CONTAINS("config:1:7: none.acl: No such file", std::string(missing.message()).c_str());
  STRCMP_CONTAINS(("(looked in " + folder.path() + "/)").c_str(), std::string(missing.message()).c_str());
  const Status folder_status = plugin.configure("file: " + folder.path() + "\n");
  CHECK_FALSE(folder_status.ok());
  STRCMP_CONTAINS("directory", std::string(folder_status.message()).c_str());
  CHECK_FALSE(plugin.configure("").ok());
  CHECK_FALSE(plugin.configure("file: \"\"\n").ok());
}

}  // namespace mqloop::acl
