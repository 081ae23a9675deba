#include "core/config/check.h"

#include <string>

#include "core/config/schema.h"
#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::config {

TEST_GROUP(Check) { Schema schema; };

TEST(Check, a_typed_value_of_every_kind) {
  schema.boolean("boolean", "");
  schema.integer("integer", "");
  schema.number("number", "");
  schema.string("string", "");
  schema.duration("duration", "");
  schema.size("size", "");
  schema.rate("rate", "");
  schema.byte_rate("byte_rate", "");
  schema.endpoint("endpoint", "");
  schema.path("path", "");
  schema.secret("secret", "");
  schema.enumeration("enumeration", "", {"one", "two"});
  schema.list_of_string("list", "");
  schema.map_of_string("map", "");
  const CheckedText text(schema, R"(
boolean: true
integer: -5
number: 2.5
string: 010
duration: 1m30s
size: 2KiB
rate: 60/m
byte_rate: 1KiB/s
endpoint: "[::1]:1883"
path: a/../b.pw
secret: s3cret
enumeration: two
list: [x, 7]
map: {sensor7: s3cret, 8: nine}
)");
  STRCMP_EQUAL("", text.errors().c_str());
  const ConfigNode c = text.root();
  CHECK(c["boolean"].as_bool());
  LONGS_EQUAL(-5, c["integer"].as_int());
  LONGS_EQUAL(0, c["integer"].as_uint());
  DOUBLES_EQUAL(2.5, c["number"].as_double(), 0);
  STRCMP_EQUAL("010", c["string"].as_string().c_str());
  LONGS_EQUAL(90'000, c["duration"].as_duration().count());
  LONGS_EQUAL(2048, c["size"].as_size());
  DOUBLES_EQUAL(1, c["rate"].as_rate(), 0);
  DOUBLES_EQUAL(1024, c["byte_rate"].as_rate(), 0);
  STRCMP_EQUAL("::1", c["endpoint"].as_endpoint().host.c_str());
  STRCMP_EQUAL("/folder/b.pw", c["path"].as_string().c_str());
  STRCMP_EQUAL("s3cret", c["secret"].as_string().c_str());
  STRCMP_EQUAL("two", c["enumeration"].as_string().c_str());
  LONGS_EQUAL(2, c["list"].as_list().size());
  STRCMP_EQUAL("7", c["list"].as_list()[1].c_str());
  STRCMP_EQUAL("s3cret", c["map"].as_map().find("sensor7")->second.c_str());
  STRCMP_EQUAL("nine", c["map"].as_map().find("8")->second.c_str());
}

TEST(Check, what_is_left_out_has_its_default_and_stands_where_its_block_does) {
  schema.duration("timeout", "").defaults_to("2s");
  schema.integer("threads", "").or_word("auto").defaults_to("auto");
  schema.enumeration("levels", "", {"3", "4", "5"}).list().defaults_to("[3, 5]");
  schema.string("port", "").defaults_to("${PORT:-1}");
  schema.section("deep", "").section("deeper", "").boolean("on", "").defaults_to("true");
  const CheckedText text(schema, "\n{}\n");
  STRCMP_EQUAL("", text.errors().c_str());
  const ConfigNode c = text.root();
  LONGS_EQUAL(2000, c["timeout"].as_duration().count());
  CHECK(c["timeout"].is_default());
  STRCMP_EQUAL("t.yaml:2:1", c["timeout"].position().c_str());
  STRCMP_EQUAL("auto", c["threads"].as_string().c_str());
  LONGS_EQUAL(0, c["threads"].as_int());
  LONGS_EQUAL(2, c["levels"].size());
  STRCMP_EQUAL("5", c["levels"].at(1).as_string().c_str());
  CHECK(c["levels"].at(1).is_default());
  STRCMP_EQUAL("1884", c["port"].as_string().c_str());
  CHECK(c["deep"]["deeper"]["on"].as_bool());
}

TEST(Check, without_a_default_it_is_the_types_zero) {
  schema.boolean("boolean", "");
  schema.integer("integer", "");
  schema.duration("duration", "");
  schema.size("size", "");
  schema.rate("rate", "");
  schema.byte_rate("byte_rate", "");
  schema.endpoint("endpoint", "");
  schema.path("path", "");
  schema.secret("secret", "");
  schema.enumeration("enumeration", "", {"one", "two"});
  schema.list_of_string("list", "");
  schema.map_of_string("map", "");
  schema.anything("anything", "");
  schema.list_of_sections("sections", "");
  const CheckedText text(schema, "");
  STRCMP_EQUAL("", text.errors().c_str());
  const ConfigNode c = text.root();
  LONGS_EQUAL(14, c.size());
  for (const ConfigNode option : c) CHECK(option.exists());
  CHECK_FALSE(c["boolean"].as_bool());
  STRCMP_EQUAL("", c["path"].as_string().c_str());
  STRCMP_EQUAL("", c["endpoint"].as_endpoint().host.c_str());
  STRCMP_EQUAL("one", c["enumeration"].as_string().c_str());
  CHECK(c["list"].is_list());
  CHECK(c["map"].is_map());
}

TEST(Check, unknown_keys_are_refused_with_the_nearest_name_of_the_same_block) {
  schema.section("listeners", "");
  Schema& limits = schema.section("limits", "");
  limits.integer("max_qos", "");
  limits.integer("receive_maximum", "");
  const CheckedText text(schema, "listner: 1\nlimits: {max_qs: 1, elephant: 2}\n");
  STRCMP_EQUAL(
      "t.yaml:1:1: unknown key 'listner'; did you mean 'listeners'?\n"
      "t.yaml:2:10: limits: unknown key 'max_qs'; did you mean 'max_qos'?\n"
      "t.yaml:2:21: limits: unknown key 'elephant'\n",
      text.errors().c_str());
}

TEST(Check, unknown_keys_that_belong_elsewhere_are_sent_there) {
  schema.section("limits", "").integer("max_qos", "");
  schema.list_of_sections("listeners", "").string("transport", "");
  schema.map_of_sections("chains", "").list_of_string("authorize", "");
  const CheckedText text(schema, "max_qos: 1\nlimits: {transprot: x}\nauthorise: [x]\n");
  STRCMP_EQUAL(
      "t.yaml:1:1: unknown key 'max_qos'; did you mean 'limits.max_qos'?\n"
      "t.yaml:2:10: limits: unknown key 'transprot'; did you mean 'listeners[].transport'?\n"
      "t.yaml:3:1: unknown key 'authorise'; did you mean 'chains.NAME.authorize'?\n",
      text.errors().c_str());
}

TEST(Check, out_of_range_names_the_range_and_whose_it_is) {
  Schema& keep_alive = schema.section("limits", "").section("keep_alive", "");
  keep_alive.duration("max", "").at_least("1s").at_most("65535s", "the MQTT maximum");
  schema.integer("threads", "").at_least("1").at_most("256").or_word("auto").defaults_to("auto");
  schema.number("grace", "").at_least("1").defaults_to("1");
  schema.size("size", "").at_most("1MiB");
  const CheckedText text(schema, "limits:\n  keep_alive: {max: 99999999s, }\nthreads: 0\ngrace: 0.5\nsize: 2MiB\n");
  STRCMP_EQUAL(
      "t.yaml:2:21: limits.keep_alive.max: 99999999s is above the MQTT maximum 65535s (18h12m15s)\n"
      "t.yaml:3:10: threads: 0 is below the minimum 1\n"
      "t.yaml:4:8: grace: 0.5 is below the minimum 1\n"
      "t.yaml:5:7: size: 2MiB is above the maximum 1MiB\n",
      text.errors().c_str());
}

TEST(Check, infinite_is_above_every_maximum) {
  schema.duration("bounded", "").at_most("1h");
  schema.duration("open", "");
  const CheckedText text(schema, "bounded: infinite\nopen: infinite\n");
  STRCMP_EQUAL("t.yaml:1:10: bounded: infinite is above the maximum 1h\n", text.errors().c_str());
  CHECK(text.root()["open"].as_duration() == kInfinite);
}

TEST(Check, bounds_are_inclusive) {
  schema.integer("low", "").at_least("1").at_most("3");
  schema.integer("high", "").at_least("1").at_most("3");
  STRCMP_EQUAL("", CheckedText(schema, "low: 1\nhigh: 3\n").errors().c_str());
}

TEST(Check, every_mistyped_value_says_what_it_should_be) {
  schema.boolean("boolean", "");
  schema.integer("integer", "").or_word("auto");
  schema.duration("duration", "");
  schema.enumeration("enumeration", "", {"text", "json"});
  schema.list_of_string("list", "");
  schema.map_of_string("map", "");
  schema.section("section", "");
  schema.list_of_sections("sections", "");
  schema.string("string", "");
  schema.string("other", "");
  schema.string("empty", "");
  const CheckedText text(schema, R"(boolean: yes
integer: many
duration: 10
enumeration: josn
list: one
map: [a]
section: 5
sections: {a: b}
string: [a]
other: {a: b}
empty:
)");
  STRCMP_EQUAL(
      "t.yaml:1:10: boolean: 'yes' is not a boolean: write true or false\n"
      "t.yaml:2:10: integer: 'many' is not a whole number, nor auto\n"
      "t.yaml:3:11: duration: '10' has no unit: write 10s for seconds\n"
      "t.yaml:4:14: enumeration: 'josn' is not one of text, json; did you mean 'json'?\n"
      "t.yaml:5:7: list: must be a list: write [one]\n"
      "t.yaml:6:6: map: must be a map: name: value\n"
      "t.yaml:7:10: section: must be a map: key: value\n"
      "t.yaml:8:11: sections: must be a list\n"
      "t.yaml:9:9: string: must be a single value, not a list\n"
      "t.yaml:10:8: other: must be a single value, not a map\n"
      "t.yaml:11:1: empty: has no value; leave the key out for its default, or write \"\" for an empty text\n",
      text.errors().c_str());
}

TEST(Check, a_section_or_list_without_content_is_its_default) {
  schema.section("section", "").integer("number", "").defaults_to("7");
  schema.list_of_string("list", "");
  const CheckedText text(schema, "section:\nlist:\n");
  STRCMP_EQUAL("", text.errors().c_str());
  LONGS_EQUAL(7, text.root()["section"]["number"].as_int());
  LONGS_EQUAL(0, text.root()["list"].size());
}

TEST(Check, what_is_required_must_be_there) {
  schema.integer("version", "").required();
  Schema& tls = schema.section("tls", "");
  tls.path("cert", "").required();
  tls.path("key", "").required();
  const CheckedText none(schema, "a: 1\n");
  STRCMP_EQUAL("t.yaml:1:1: unknown key 'a'\nt.yaml:1:1: version is missing\n", none.errors().c_str());
  CHECK_FALSE(none.root()["tls"].exists());
  const CheckedText half(schema, "version: 1\ntls: {cert: a.pem}\n");
  STRCMP_EQUAL("t.yaml:2:6: tls.key is missing\n", half.errors().c_str());
  STRCMP_EQUAL("", CheckedText(schema, "version: 1\ntls: {cert: a, key: b}\n").errors().c_str());
}

TEST(Check, what_is_required_must_be_there_in_an_empty_block_too) {
  schema.map_of_string("badges", "").required();
  schema.integer("number", "").defaults_to("7");
  const CheckedText empty(schema, "");
  STRCMP_EQUAL("t.yaml:1:1: badges is missing\n", empty.errors().c_str());
  LONGS_EQUAL(7, empty.root()["number"].as_int());
}

TEST(Check, blocks_of_a_list_are_named_and_no_two_alike) {
  Schema& plugin = schema.list_of_sections("plugins", "");
  plugin.duration("timeout", "");
  const CheckedText text(schema, R"(plugins:
  - {name: users, timeout: 5}
  - {timeout: 2s}
  - {name: users}
  - {name: ""}
  -
  - 7
)");
  STRCMP_EQUAL(
      "t.yaml:2:28: plugins.users.timeout: '5' has no unit: write 5s for seconds\n"
      "t.yaml:3:5: plugins.1.name is missing\n"
      "t.yaml:4:12: plugins: the name 'users' is already used at line 2\n"
      "t.yaml:5:12: plugins.3.name: must not be empty\n"
      "t.yaml:7:3: plugins.4.name is missing\n"
      "t.yaml:7:5: plugins.5: must be a map: key: value\n",
      text.errors().c_str());
}

TEST(Check, a_word_or_a_block) {
  Schema& logging = schema.section("logging", "");
  logging.enumeration("output", "", {"stderr"}).or_section().path("file", "").required().not_empty();
  STRCMP_EQUAL("stderr", CheckedText(schema, "").root()["logging"]["output"].as_string().c_str());
  const CheckedText file(schema, "logging: {output: {file: log/m.log}}\n");
  STRCMP_EQUAL("", file.errors().c_str());
  STRCMP_EQUAL("/folder/log/m.log", file.root()["logging"]["output"]["file"].as_string().c_str());
  STRCMP_EQUAL("t.yaml:1:19: logging.output: 'stdout' is not one of stderr, {file: ...}\n",
               CheckedText(schema, "logging: {output: stdout}\n").errors().c_str());
  STRCMP_EQUAL(
      "t.yaml:1:19: logging.output.file is missing\n"
      "t.yaml:1:20: logging.output: unknown key 'fil'; did you mean 'file'?\n",
      CheckedText(schema, "logging: {output: {fil: x}}\n").errors().c_str());
}

TEST(Check, anything_is_left_to_others) {
  schema.anything("config", "").defaults_to("{}");
  const CheckedText text(schema, "config: {a: [1, {b: c}]}\n");
  STRCMP_EQUAL("", text.errors().c_str());
  STRCMP_EQUAL("c", text.root()["config"]["a"].at(1)["b"].as_string().c_str());
  CHECK(CheckedText(schema, "").root()["config"].is_map());
}

TEST(Check, a_second_schema_checks_the_rest_of_a_block) {
  Schema listener;
  listener.string("transport", "").defaults_to("tcp");
  listener.integer("max_connections", "").defaults_to("10");
  leave_open(listener);
  const CheckedText first(listener, "{transport: tcp, bind: abc, bidn: x, max_conections: 1}");
  STRCMP_EQUAL("", first.errors().c_str());
  STRCMP_EQUAL("abc", first.root()["bind"].as_string().c_str());

  schema.endpoint("bind", "").required();
  Errors errors;
  CheckOptions options;
  options.checked_before = &listener;
  Document second = check(schema, first.root(), errors, options);
  STRCMP_EQUAL(
      "t.yaml:1:24: bind: 'abc' is not host:port, e.g. 127.0.0.1:1883 or [::]:8883\n"
      "t.yaml:1:29: unknown key 'bidn'; did you mean 'bind'?\n"
      "t.yaml:1:38: unknown key 'max_conections'; did you mean 'max_connections'?\n",
      errors.text().c_str());
  LONGS_EQUAL(10, second.root()["max_connections"].as_int());
  STRCMP_EQUAL("tcp", second.root()["transport"].as_string().c_str());
}

TEST(Check, a_default_stays_one_through_a_second_check) {
  Schema core;
  leave_open(core.list_of_sections("listeners", "", "name", "[{name: local, bind: '127.0.0.1:1883', list: [a]}]"));
  core.anything("config", "").defaults_to("{}");
  const CheckedText first(core, "");
  schema.endpoint("bind", "");
  schema.list_of_string("list", "");
  Errors errors;
  CheckOptions options;
  options.checked_before = &*find_option(core, "listeners")->section;
  const Document second = check(schema, first.root()["listeners"].at(0), errors, options);
  STRCMP_EQUAL("", errors.text().c_str());
  for (const ConfigNode option : second.root()) {
    CHECK(option.is_default());
    STRCMP_EQUAL("t.yaml:1:1", option.position().c_str());
  }
  CHECK(second.root()["list"].at(0).is_default());
  CHECK(check(schema, first.root()["config"], errors).root().is_default());
}

TEST(Check, a_checked_tree_does_not_need_the_raw_one) {
  schema.string("a", "");
  Document checked;
  {
    Errors errors;
    Document raw;
    raw.set_root(read_yaml(raw, raw.source("gone.yaml", "/"), "a: x\n", errors));
    checked = check(schema, raw.root(), errors);
  }
  STRCMP_EQUAL("gone.yaml:1:4", checked.root()["a"].position().c_str());
  STRCMP_EQUAL("x", checked.root()["a"].as_string().c_str());
}

TEST(Check, a_block_that_is_missing_is_checked_as_an_empty_one) {
  schema.integer("number", "").defaults_to("7");
  Errors errors;
  const Document nothing = check(schema, ConfigNode(), errors);
  CHECK(errors.empty());
  LONGS_EQUAL(7, nothing.root()["number"].as_int());
}

TEST(Check, a_path_prefix_stands_in_front_of_names) {
  schema.integer("number", "");
  CheckOptions options;
  options.path = "publisher.config";
  STRCMP_EQUAL(
      "t.yaml:1:10: publisher.config.number: 'x' is not a whole number\n"
      "t.yaml:1:13: publisher.config: unknown key 'numbre'; did you mean 'number'?\n",
      CheckedText(schema, "{number: x, numbre: 1}", options).errors().c_str());
}

TEST(Check, relative_paths_of_a_block_may_start_elsewhere) {
  schema.path("kept", "").defaults_to("kept.db");
  CheckOptions options;
  options.folder = "/data";
  STRCMP_EQUAL("/data/sub/k.db", CheckedText(schema, "{kept: sub/k.db}", options).root()["kept"].as_string().c_str());
  STRCMP_EQUAL("/data/kept.db", CheckedText(schema, "{}", options).root()["kept"].as_string().c_str());
  STRCMP_EQUAL("/k.db", CheckedText(schema, "{kept: /k.db}", options).root()["kept"].as_string().c_str());
  STRCMP_EQUAL("/folder/k.db", CheckedText(schema, "{kept: k.db}").root()["kept"].as_string().c_str());
}

TEST(Check, secrets_come_from_files_less_the_final_newline) {
  TestFolder folder;
  folder.write("pw", "s3cret \n");
  folder.write("pw.dos", "s3cret\r\n");
  folder.write("large", std::string(70'000, 'x'));
  schema.secret("a", "");
  schema.secret("b", "");
  Document raw;
  Errors errors;
  raw.set_root(read_yaml(raw, raw.source("t.yaml", folder.path()), "a: {file: pw}\nb: {file: pw.dos}\n", errors));
  const Document checked = check(schema, raw.root(), errors);
  STRCMP_EQUAL("", errors.text().c_str());
  STRCMP_EQUAL("s3cret ", checked.root()["a"].as_string().c_str());
  STRCMP_EQUAL("s3cret", checked.root()["b"].as_string().c_str());

  raw.set_root(read_yaml(raw, raw.source("t.yaml", folder.path()), "a: {file: none}\nb: {file: large}\n", errors));
  (void)check(schema, raw.root(), errors);
  STRCMP_EQUAL(("t.yaml:1:11: a: " + folder.path() + "/none: No such file or directory\n" +
                "t.yaml:2:11: b: " + folder.path() + "/large: larger than 64KiB\n")
                   .c_str(),
               errors.text().c_str());
  CHECK(errors.has(ErrorKind::kFile));
  CHECK_FALSE(errors.has(ErrorKind::kConfig));
  STRCMP_EQUAL("t.yaml:1:4: a: a secret is a text or {file: PATH}\n",
               CheckedText(schema, "a: {file: x, b: c}\n").errors().c_str());
}

TEST(Check, a_secrets_file_that_everybody_may_read_is_a_warning_and_no_mistake) {
  TestFolder folder;
  folder.write("open", "s3cret");
  folder.write("closed", "s3cret");
  std::filesystem::permissions("open", std::filesystem::perms{0644});
  std::filesystem::permissions("closed", std::filesystem::perms{0640});
  schema.secret("a", "");
  schema.secret("b", "");
  Document raw;
  Errors errors;
  raw.set_root(read_yaml(raw, raw.source("t.yaml", folder.path()), "a: {file: closed}\nb: {file: open}\n", errors));
  const Document checked = check(schema, raw.root(), errors);
  CHECK(errors.empty());
  STRCMP_EQUAL("s3cret", checked.root()["b"].as_string().c_str());
  const std::string file = folder.path() + "/open";
  STRCMP_EQUAL(
      ("t.yaml:2:11: warning: b: " + file + ": everybody on this machine may read it; chmod o-r " + file + "\n")
          .c_str(),
      errors.warnings().c_str());
}

TEST(Check, a_plugins_faulty_schema_is_reported_not_obeyed) {
  schema.duration("timeout", "").defaults_to("30");
  schema.integer("number", "").defaults_to("5").at_most("lots");
  schema.list_of_string("list", "").defaults_to("[a");
  STRCMP_EQUAL(
      "t.yaml:1:1: timeout: '30' has no unit: write 30s for seconds\n"
      "t.yaml:1:1: number: the schema's own bound 'lots' is no value of this option\n"
      "t.yaml:1:1: list: the schema's own default '[a' is not YAML\n",
      CheckedText(schema, "").errors().c_str());
}

TEST_GROUP(ConfigNode){};

TEST(ConfigNode, what_is_missing_answers_with_nothing) {
  const ConfigNode none;
  CHECK_FALSE(none.exists());
  CHECK_FALSE(none["a"]["b"].at(3).exists());
  STRCMP_EQUAL("", none["a"].as_string().c_str());
  LONGS_EQUAL(0, none.as_int());
  LONGS_EQUAL(0, none.size());
  CHECK(none.as_list().empty());
  CHECK(none.as_map().empty());
  for (const ConfigNode item : none) CHECK(item.exists());
  STRCMP_EQUAL("", none.position().c_str());
  STRCMP_EQUAL("why", std::string(none.error("why").message()).c_str());
}

TEST(ConfigNode, errors_point_at_the_value_or_at_what_should_hold_it) {
  Schema schema;
  schema.section("a", "").string("code", "");
  const CheckedText text(schema, "a:\n  code: ''\n");
  const Status at_value = text.root()["a"]["code"].error("the badge code is empty");
  CHECK(at_value.code() == StatusCode::kInvalidArgument);
  STRCMP_EQUAL("t.yaml:2:9: the badge code is empty", std::string(at_value.message()).c_str());
  STRCMP_EQUAL("t.yaml:2:3: no such thing",
               std::string(text.root()["a"]["nothing"]["deeper"].error("no such thing").message()).c_str());
}

TEST(ConfigNode, a_getter_that_does_not_fit_answers_zero) {
  Schema schema;
  schema.string("string", "");
  schema.list_of_string("list", "");
  const CheckedText text(schema, "string: '5'\nlist: [a]\n");
  LONGS_EQUAL(0, text.root()["string"].as_int());
  LONGS_EQUAL(0, text.root()["string"].as_duration().count());
  STRCMP_EQUAL("", text.root()["list"].as_string().c_str());
  CHECK(text.root()["list"].as_map().empty());
  CHECK(text.root()["string"].as_list().empty());
}

}  // namespace mqloop::config
