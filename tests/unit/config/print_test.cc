#include "core/config/print.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <mqloop/socket.h>

#include "core/broker/settings.h"
#include "core/broker/settings_schema.h"
#include "core/config/loader.h"
#include "core/config/schema.h"
#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::config {
namespace {

// Every key of a tree with its text, its position left out: `limits.max_qos=2`.
void flatten(const ConfigNode& node, const std::string& path, std::set<std::string>& out) {
  if (node.is_scalar() || node.size() == 0) {
    out.insert(path + "=" + node.as_string());
    return;
  }
  std::size_t index = 0;
  for (const ConfigNode child : node) {
    const std::string step = node.is_list() ? std::to_string(index++) : std::string(child.key());
    flatten(child, path.empty() ? step : path + "." + step, out);
  }
}

std::set<std::string> flat(const ConfigNode& node) {
  std::set<std::string> out;
  flatten(node, "", out);
  return out;
}

std::string joined_lines(const std::set<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

}  // namespace

TEST_GROUP(Print) {
  Schema schema;
  TestFolder folder;
};

TEST(Print, every_value_in_force_stands_with_where_it_comes_from) {
  schema.integer("version", "").required();
  Schema& limits = schema.section("limits", "");
  limits.integer("max_qos", "").defaults_to("2");
  limits.duration("timeout", "").defaults_to("10s");
  schema.list_of_string("list", "").defaults_to("[a, 'b c']");
  schema.map_of_string("map", "");
  Schema& plugin = schema.list_of_sections("plugins", "");
  plugin.path("path", "");
  plugin.section("deep", "").string("x", "").defaults_to("${PORT}");
  const CheckedText text(schema, "version: 1\nlimits:\n  timeout: 5s\nplugins:\n  - {name: a, path: lib/x.so}\n");
  STRCMP_EQUAL("", text.errors().c_str());
  STRCMP_EQUAL(
      "version: 1                                  # t.yaml:1\n"
      "limits:\n"
      "  max_qos: 2                                # default\n"
      "  timeout: 5s                               # t.yaml:3\n"
      "list: [a, \"b c\"]                            # default\n"
      "map: {}                                     # default\n"
      "plugins:\n"
      "  - name: a                                 # t.yaml:5\n"
      "    path: /folder/lib/x.so                  # t.yaml:5\n"
      "    deep:\n"
      "      x: 1884                               # default\n",
      print_effective(text.root()).c_str());
}

TEST(Print, secrets_and_what_nobody_checked_are_not_shown) {
  TestFolder other;
  other.write("pw", "canary2\n");
  schema.secret("written", "");
  schema.secret("filed", "");
  schema.anything("config", "").defaults_to("{}");
  Document raw;
  Errors errors;
  raw.set_root(read_yaml(raw, raw.source("t.yaml", other.path()),
                         "written: canary1\nfiled: {file: pw}\nconfig: {password: canary3, list: [canary4]}\n",
                         errors));
  const Document checked = check(schema, raw.root(), errors);
  STRCMP_EQUAL("", errors.text().c_str());
  const std::string text = print_effective(checked.root());
  CHECK(text.find("canary") == std::string::npos);
  STRCMP_CONTAINS("written: \"***\"", text.c_str());
  STRCMP_CONTAINS("filed: {file: pw}", text.c_str());
  STRCMP_CONTAINS("password: \"***\"", text.c_str());
}

TEST(Print, a_plugins_block_is_shown_as_its_own_schema_checked_it) {
  schema.anything("config", "");
  const CheckedText text(schema, "config: {file: x, password: canary}\n");
  Schema own;
  own.string("file", "");
  own.secret("password", "");
  own.integer("cost", "").defaults_to("7");
  Errors errors;
  const Document block = check(own, text.root()["config"], errors);
  const CheckedBlocks blocks = {{Access::node(text.root()["config"]), block.root()}};
  STRCMP_EQUAL(
      "config:\n"
      "  file: x                                   # t.yaml:1\n"
      "  password: \"***\"                           # t.yaml:1\n"
      "  cost: 7                                   # default\n",
      print_effective(text.root(), blocks).c_str());
}

TEST(Print, what_is_in_force_means_the_same_when_it_is_read_back) {
  folder.write("m.yaml", R"(version: 1
node: {name: "odd \"name\": {x} # $${HOME}", data_dir: data}
plugins:
  - {name: users, plugin: auth_file, timeout: 500ms}
  - {name: "a b", path: ./x.so}
auth: {chains: {office: {authenticate: [users, a b]}, "odd: name": {}}}
listeners: [{name: a, chain: office, protocol_levels: [5]}, {name: b, tls: {a, b: {c}}, limits: {max_qos: 1, output: {soft: 8KiB}}}]
logging: {levels: {auth: debug}, output: {file: log/m.log}}
)");
  const auto load_from = [](const std::string& file, Errors& errors) {
    Input input;
    input.file = file;
    input.environment = test_environment;
    return broker::load_settings(input, errors);
  };
  Errors errors;
  const broker::BrokerSettings first = load_from("m.yaml", errors);
  STRCMP_EQUAL("", errors.text().c_str());
  folder.write("again.yaml", print_effective(first.document.root()));
  const broker::BrokerSettings second = load_from("again.yaml", errors);
  STRCMP_EQUAL("", errors.text().c_str());
  STRCMP_EQUAL(joined_lines(flat(first.document.root())).c_str(), joined_lines(flat(second.document.root())).c_str());
  STRCMP_EQUAL("odd \"name\": {x} # ${HOME}", second.node.name.c_str());
}

TEST(Print, the_defaults_are_a_file_that_changes_nothing) {
  broker::describe_core(schema);
  folder.write("default.yaml", print_default(schema));
  folder.write("empty.yaml", "version: 1\n");
  Errors errors;
  Input input;
  input.environment = test_environment;
  input.file = "default.yaml";
  const broker::BrokerSettings printed = broker::load_settings(input, errors);
  STRCMP_EQUAL("", errors.text().c_str());
  input.file = "empty.yaml";
  const broker::BrokerSettings empty = broker::load_settings(input, errors);
  STRCMP_EQUAL(joined_lines(flat(empty.document.root())).c_str(), joined_lines(flat(printed.document.root())).c_str());
}

TEST(Print, the_blocks_that_defaults_show_in_comments_are_right_too) {
  broker::describe_core(schema);
  const std::string text = print_default(schema);
  // Take the skeleton of a plugin out of its comments.
  const std::size_t start = text.find("  # - name: NAME");
  CHECK(start != std::string::npos);
  std::istringstream lines(text.substr(start));
  std::string skeleton = "version: 1\nplugins:\n";
  for (std::string line; std::getline(lines, line) && line.starts_with("  # ");)
    skeleton += "  " + line.substr(4) + "\n";
  folder.write("skeleton.yaml", skeleton);
  Errors errors;
  Input input;
  input.file = "skeleton.yaml";
  (void)broker::load_settings(input, errors);
  STRCMP_EQUAL("skeleton.yaml:3:5: plugins.NAME: needs plugin: NAME (of a plugin in the plugin folder) or path: FILE\n",
               errors.text().c_str());
}

TEST(Print, a_sparse_block_shows_what_was_written_and_is_empty_by_default) {
  Schema& listener = schema.list_of_sections("listeners", "");
  Schema& limits = listener.section("limits", "in place of others");
  limits.integer("max_qos", "").defaults_to("2");
  limits.section("output", "").size("soft", "").defaults_to("1MiB");
  limits.section("retain", "").boolean("enabled", "").defaults_to("true");
  leave_sparse(limits);
  const CheckedText text(schema, "listeners: [{name: a, limits: {output: {soft: 8KiB}}}, {name: b}]\n");
  STRCMP_EQUAL("", text.errors().c_str());
  STRCMP_EQUAL(
      "listeners:\n"
      "  - name: a                                 # t.yaml:1\n"
      "    limits:\n"
      "      output:\n"
      "        soft: 8KiB                          # t.yaml:1\n"
      "  - name: b                                 # t.yaml:1\n"
      "    limits: {}                              # default\n",
      print_effective(text.root()).c_str());
  STRCMP_CONTAINS("limits: {}                            # in place of others\n", print_default(schema).c_str());
  STRCMP_CONTAINS("Keys: max_qos, output.soft, retain.enabled.\n", print_manual(schema).c_str());
}

TEST(Print, every_key_has_its_line_of_help) {
  broker::describe_core(schema);
  std::set<std::string> without;
  const auto visit = [&without](const auto& self, const Schema& block, const std::string& path) -> void {
    for (const auto& option : Access::rules(block).options) {
      const OptionRule& rule = Access::rule(*option);
      if (rule.help.empty() || rule.help.ends_with('.') || rule.help.size() > 120) without.insert(path + rule.name);
      if (rule.section) self(self, *rule.section, path + rule.name + ".");
    }
  };
  visit(visit, schema, "");
  STRCMP_EQUAL("", joined_lines(without).c_str());
}

TEST(Print, the_json_schema_names_every_key) {
  broker::describe_core(schema);
  const std::string json = print_json_schema(schema);
  for (const char* text :
       {"\"version\": {", "\"required\": [\"version\"]", "\"protocol_levels\": {", "\"maximum\": 65535",
        "\"enum\": [\"3\", 3, \"4\", 4, \"5\", 5]", "\"additionalProperties\": false"}) {
    STRCMP_CONTAINS(text, json.c_str());
  }
}

// ---- the file that is shipped ----

TEST_GROUP(ShippedFile) {
  TestFolder folder;
  Errors errors;

  [[nodiscard]] std::string shipped_file() const {
    std::ifstream in(folder.started_in() + "/etc/mqloop.yaml", std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  // The settings of a text, without what lies beside the shipped file.
  broker::BrokerSettings settings_of(const std::string& text) {
    folder.write("mqloop.yaml", text);
    Input input;
    input.file = "mqloop.yaml";
    input.environment = test_environment;
    return broker::load_settings(input, errors);
  }
};

TEST(ShippedFile, says_what_holds_without_it_but_for_the_publisher) {
  const broker::BrokerSettings shipped = settings_of(shipped_file());
  STRCMP_EQUAL("", errors.text().c_str());
  STRCMP_EQUAL("publisher_sqlite", shipped.publisher.plugin.c_str());
  std::string text = shipped_file();
  const std::size_t publisher = text.find("\npublisher:") + 1;
  text.erase(publisher, text.find("\n\n", publisher) - publisher);
  const broker::BrokerSettings others = settings_of(text);
  STRCMP_EQUAL("", errors.text().c_str());
  const broker::BrokerSettings nothing = settings_of("version: 1\n");
  STRCMP_EQUAL("publisher_memory", nothing.publisher.plugin.c_str());
  STRCMP_EQUAL(joined_lines(flat(nothing.document.root())).c_str(), joined_lines(flat(others.document.root())).c_str());
}

TEST(ShippedFile, leaves_no_key_of_the_schema_out) {
  const broker::BrokerSettings shipped = settings_of(shipped_file());
  const std::string text = shipped_file();
  std::set<std::string> left_out;
  const auto visit = [&](const auto& self, const ConfigNode& node, const std::string& path) -> void {
    if (node.is_default()) left_out.insert(path);
    for (const ConfigNode child : node) self(self, child, path + "." + std::string(child.key()));
  };
  visit(visit, shipped.document.root(), "");
  STRCMP_EQUAL("", joined_lines(left_out).c_str());
  // There is no plugin by default: its keys are shown in comments.
  Schema schema;
  broker::describe_core(schema);
  for (const auto& option : Access::rules(*find_option(schema, "plugins")->section).options) {
    const OptionRule& rule = Access::rule(*option);
    const bool shown = text.find("\n#   " + rule.name + ": ") != std::string::npos ||
                       text.find("\n# - " + rule.name + ": ") != std::string::npos ||
                       text.find(" or " + rule.name + ": ") != std::string::npos;
    if (!shown) FAIL(("plugins[]." + rule.name + " is not in etc/mqloop.yaml").c_str());
  }
}

TEST(ShippedFile, shows_the_keys_of_the_transports_with_their_defaults) {
  const std::string text = shipped_file();
  for (const bool is_unix : {false, true}) {
    Schema schema;
    is_unix ? SocketListener::describe_unix(schema) : SocketListener::describe_tcp(schema);
    for (const auto& option : Access::rules(schema).options) {
      const OptionRule& rule = Access::rule(*option);
      if (rule.name == "bind" || rule.name == "path") continue;
      std::string value = rule.default_text.value_or(std::string(zero_text(rule)));
      if (rule.type == OptionType::kString) value = '"' + value + '"';
      const std::string key = rule.name + ": " + value + ' ';
      const bool shown =
          text.find("    # " + key) != std::string::npos || text.find("\n#   " + key) != std::string::npos;
      if (!shown) FAIL((key + "is not in etc/mqloop.yaml").c_str());
    }
  }
}

TEST(ShippedFile, shows_an_example_of_a_plugin_that_is_right) {
  std::string text = shipped_file();
  for (const char* head :
       {"\n# - name: badges", "\n#   path:", "\n#   timeout:", "\n#   on_timeout:", "\n#   config:"}) {
    const std::size_t at = text.find(head);
    CHECK(at != std::string::npos);
    text.erase(at + 1, 2);
  }
  text.replace(text.find("plugins: []"), 11, "plugins:   ");
  const broker::BrokerSettings settings = settings_of(text);
  STRCMP_EQUAL("", errors.text().c_str());
  LONGS_EQUAL(1, settings.plugins.size());
  STRCMP_EQUAL("s3cret", settings.plugins[0].config["badges"]["sensor7"].as_string().c_str());
}

}  // namespace mqloop::config
