#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "core/broker/settings_schema.h"
#include "core/config/difference.h"
#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::config;

namespace {

// Both texts begin with `version: 1`; a line for each change.
std::string difference(const std::string& before, const std::string& after) {
  Schema schema;
  broker::describe_core(schema);
  const CheckedText old_tree(schema, "version: 1\n" + before);
  const CheckedText new_tree(schema, "version: 1\n" + after);
  STRCMP_EQUAL("", (old_tree.errors() + new_tree.errors()).c_str());
  std::string text;
  for (const Change& change : differences(schema, {old_tree.root(), {}}, {new_tree.root(), {}})) {
    text += std::string(1, letter_of(change.reload)) + ' ' + change.text() + '\n';
  }
  return text;
}

// Every option, also of blocks within blocks, has a class: of its own or of the block around it.
void check_classes(const Schema& schema, const std::string& path, bool has_one) {
  for (const auto& option : Access::rules(schema).options) {
    const OptionRule& rule = Access::rule(*option);
    const bool known = has_one || rule.reload.has_value();
    CHECK_TEXT(known, (path + rule.name).c_str());
    if (rule.section) check_classes(*rule.section, path + rule.name + ".", known);
  }
}

}  // namespace

TEST_GROUP(Difference){};

TEST(Difference, every_key_of_the_core_has_a_class) {
  Schema schema;
  broker::describe_core(schema);
  check_classes(schema, "", false);
}

TEST(Difference, the_shipped_file_marks_each_block_with_its_class) {
  Schema schema;
  broker::describe_core(schema);
  std::ifstream in("etc/mqloop.yaml");
  std::map<std::string, char> marks;
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    const std::size_t mark = line.find("# (");
    if (colon != std::string::npos && mark != std::string::npos && colon < mark) {
      marks.emplace(line.substr(0, colon), line[mark + 3]);
    }
  }
  for (const auto& option : Access::rules(schema).options) {
    const OptionRule& rule = Access::rule(*option);
    const auto found = marks.find(rule.name);
    CHECK_TEXT(found != marks.end(), (rule.name + " has no mark").c_str());
    CHECK_TEXT(found->second == letter_of(*rule.reload), rule.name.c_str());
  }
  // Of a listener, those that differ from it.
  const Schema& listener = broker::listener_schema(schema);
  for (const auto& option : Access::rules(listener).options) {
    const OptionRule& rule = Access::rule(*option);
    if (rule.reload.value_or(Reload::kListener) == Reload::kListener) continue;
    const auto found = marks.find("    " + rule.name);
    CHECK_TEXT(found != marks.end() && found->second == 'L', rule.name.c_str());
  }
}

TEST(Difference, the_same_written_otherwise_is_no_difference) {
  STRCMP_EQUAL(
      "", difference("limits: {max_qos: 2}\n", "# a comment\nlimits:\n  max_qos: 2\n  receive_maximum: 100\n").c_str());
}

TEST(Difference, a_value_is_told_with_old_and_new) {
  STRCMP_EQUAL("L limits.max_qos changed from 2 to 1\n", difference("", "limits: {max_qos: 1}\n").c_str());
  STRCMP_EQUAL("L limits.session.overflow changed from drop_new to drop_oldest\n",
               difference("limits: {session: {overflow: drop_new}}\n", "").c_str());
  STRCMP_EQUAL("L logging.output changed from stderr to {file: /folder/a.log}\n",
               difference("", "logging: {output: {file: a.log}}\n").c_str());
}

TEST(Difference, what_needs_a_restart_says_so) {
  STRCMP_EQUAL("X node.threads changed from 2 to 4: takes effect at the next start\n",
               difference("node: {threads: 2}\n", "node: {threads: 4}\n").c_str());
  STRCMP_EQUAL("X publisher.plugin changed from publisher_memory to other: takes effect at the next start\n",
               difference("", "publisher: {plugin: other}\n").c_str());
}

TEST(Difference, blocks_of_a_list_are_the_same_by_name_wherever_they_stand) {
  const std::string a = "  - {name: a, bind: 127.0.0.1:1}\n";
  const std::string b = "  - {name: b, bind: 127.0.0.1:2}\n";
  STRCMP_EQUAL("", difference("listeners:\n" + a + b, "listeners:\n" + b + a).c_str());
  STRCMP_EQUAL("R listeners.b added\n", difference("listeners:\n" + a, "listeners:\n" + b + a).c_str());
  STRCMP_EQUAL("R listeners.a removed\n", difference("listeners:\n" + a + b, "listeners:\n" + b).c_str());
}

TEST(Difference, keys_of_a_transport_open_the_listener_again_and_the_others_do_not) {
  STRCMP_EQUAL(
      "R listeners.a.tls added: {cert: ***}\nL listeners.a.max_connections changed from 10000 to 5\n"
      "R listeners.a.bind removed\n",
      difference("listeners: [{name: a, bind: 127.0.0.1:1}]\n",
                 "listeners: [{name: a, max_connections: 5, tls: {cert: a.pem}}]\n")
          .c_str());
  STRCMP_EQUAL("R listeners.a.transport changed from tcp to tls\n",
               difference("listeners: [{name: a}]\n", "listeners: [{name: a, transport: tls}]\n").c_str());
}

TEST(Difference, chains_and_lists_of_names_are_told_whole) {
  STRCMP_EQUAL(
      "L auth.chains.default.authenticate changed from [] to [p]\nL auth.chains.web added: {authenticate: [], "
      "authorize: []}\n",
      difference("plugins: [{name: p, plugin: p}]\n",
                 "plugins: [{name: p, plugin: p}]\n"
                 "auth: {chains: {default: {authenticate: [p]}, web: {}}}\n")
          .c_str());
}

TEST(Difference, a_value_that_no_schema_has_checked_is_not_shown) {
  STRCMP_EQUAL("L plugins.p.config.password changed from *** to ***\n",
               difference("plugins: [{name: p, plugin: p, config: {password: one}}]\n",
                          "plugins: [{name: p, plugin: p, config: {password: two}}]\n")
                   .c_str());
}

TEST(Difference, blocks_of_plugins_are_compared_as_their_schemas_checked_them) {
  TestFolder folder;
  Schema core;
  broker::describe_core(core);
  Schema own;
  own.secret("key", "");
  own.integer("size", "").defaults_to("3");
  const CheckedText tree(core, "version: 1\nplugins: [{name: p, plugin: p, config: {key: {file: k}}}]\n");
  const ConfigNode block = tree.root()["plugins"].at(0)["config"];
  const auto checked_with = [&](std::string_view content) {
    folder.write("k", content);
    const std::string text = "{key: {file: " + folder.path() + "/k}}";
    return std::make_unique<CheckedText>(own, text);
  };
  const auto before = checked_with("one");
  const auto same = checked_with("one");
  const auto after = checked_with("two");
  const auto compare = [&](const CheckedText& a, const CheckedText& b) {
    const CheckedBlocks blocks_a{{Access::node(block), a.root()}};
    const CheckedBlocks blocks_b{{Access::node(block), b.root()}};
    std::string text;
    for (const Change& change : differences(core, {tree.root(), blocks_a}, {tree.root(), blocks_b})) {
      text += change.text() + '\n';
    }
    return text;
  };
  STRCMP_EQUAL("", compare(*before, *same).c_str());
  // The file says the same; what the secret's own file says has changed, and is not told.
  STRCMP_EQUAL("plugins.p.config.key changed from *** to ***\n", compare(*before, *after).c_str());
}
