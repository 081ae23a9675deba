#include "core/config/loader.h"

#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::config {

// A schema with what includes and overrides need, and files in a folder.
TEST_GROUP(Loader) {
  TestFolder folder;
  Schema schema;
  Errors errors;
  Document document;
  std::vector<std::string> overrides;

  void setup() override {
    schema.integer("version", "");
    schema.list_of_string("include", "").defaults_to("[conf.d/*.yaml]");
    Schema& listener = schema.list_of_sections("listeners", "", "name", "[{name: local, bind: '127.0.0.1:1883'}]");
    listener.string("bind", "");
    Schema& limits = schema.section("limits", "");
    limits.integer("max_qos", "");
    limits.section("retain", "").boolean("enabled", "");
    schema.map_of_sections("chains", "").list_of_string("authenticate", "");
    Schema& logging = schema.section("logging", "");
    logging.enumeration("output", "", {"stderr"}).or_section().path("file", "");
    schema.anything("config", "");
  }

  ConfigNode load_file(const std::string& file = "m.yaml") {
    Input input;
    input.file = file;
    input.overrides = overrides;
    input.environment = test_environment;
    document = load(input, schema, errors);
    return document.root();
  }
  std::string text_of_errors() const { return errors.text(); }
};

TEST(Loader, a_file_that_is_not_there_is_told_with_the_folder_looked_in) {
  CHECK_FALSE(load_file("nope.yaml").exists());
  STRCMP_EQUAL(("nope.yaml: No such file or directory (looked in " + folder.path() + ")\n").c_str(),
               text_of_errors().c_str());
}

TEST(Loader, an_absolute_name_needs_no_folder) {
  CHECK_FALSE(load_file("/nope/m.yaml").exists());
  STRCMP_EQUAL("/nope/m.yaml: No such file or directory\n", text_of_errors().c_str());
}

TEST(Loader, a_folder_is_no_file) {
  folder.write("m.yaml/x", "");
  CHECK_FALSE(load_file().exists());
  STRCMP_EQUAL(("m.yaml: Is a directory (looked in " + folder.path() + ")\n").c_str(), text_of_errors().c_str());
}

TEST(Loader, a_list_is_no_configuration) {
  folder.write("m.yaml", "- a\n");
  CHECK_FALSE(load_file().exists());
  STRCMP_EQUAL("m.yaml:1:1: a configuration is a map: key: value\n", text_of_errors().c_str());
}

TEST(Loader, variables_are_filled_in_after_reading) {
  folder.write("m.yaml", "config: {port: \"${PORT}\", all: '${SPACED}'}\n");
  const ConfigNode root = load_file();
  STRCMP_EQUAL("", text_of_errors().c_str());
  STRCMP_EQUAL("1884", root["config"]["port"].as_string().c_str());
  STRCMP_EQUAL("a: b, {c}", root["config"]["all"].as_string().c_str());
}

TEST(Loader, included_files_are_sorted_and_their_lists_appended) {
  folder.write("m.yaml", "version: 1\ninclude: [extra/*.yaml]\nlisteners: [{name: a}]\nlimits: {max_qos: 1}\n");
  folder.write("extra/20.yaml", "listeners: [{name: c}]\n");
  folder.write("extra/10.yaml", "version: 1\nlisteners:\n  - {name: b}\nlimits: {retain: {enabled: false}}\n");
  folder.write("extra/30.txt", "listeners: [{name: d}]\n");
  const ConfigNode root = load_file();
  STRCMP_EQUAL("", text_of_errors().c_str());
  LONGS_EQUAL(3, root["listeners"].size());
  STRCMP_EQUAL("a", root["listeners"].at(0)["name"].as_string().c_str());
  STRCMP_EQUAL("b", root["listeners"].at(1)["name"].as_string().c_str());
  STRCMP_EQUAL("c", root["listeners"].at(2)["name"].as_string().c_str());
  STRCMP_EQUAL("false", root["limits"]["retain"]["enabled"].as_string().c_str());
  STRCMP_EQUAL("extra/10.yaml:3:5", root["listeners"].at(1).position().c_str());
}

TEST(Loader, conf_d_is_included_when_the_file_does_not_say) {
  folder.write("etc/m.yaml", "version: 1\n");
  folder.write("etc/conf.d/a.yaml", "limits: {max_qos: 1}\n");
  STRCMP_EQUAL("1", load_file("etc/m.yaml")["limits"]["max_qos"].as_string().c_str());
  STRCMP_EQUAL("", text_of_errors().c_str());
}

// As without a free descriptor: what it holds might be what keeps a door shut.
TEST(Loader, a_folder_that_cannot_be_read_is_not_one_without_files) {
  folder.write("m.yaml", "version: 1\n");
  std::filesystem::create_symlink("conf.d", folder.path() + "/conf.d");
  load_file();
  STRCMP_EQUAL("conf.d/*.yaml: Too many levels of symbolic links\n", text_of_errors().c_str());
}

TEST(Loader, nothing_is_included_when_the_file_says_so) {
  folder.write("m.yaml", "include: []\n");
  folder.write("conf.d/a.yaml", "limits: {max_qos: 1}\n");
  CHECK_FALSE(load_file()["limits"].exists());
}

TEST(Loader, a_value_set_twice_is_a_mistake_wherever_the_first_was) {
  folder.write("m.yaml", "limits:\n  max_qos: 1\n");
  folder.write("conf.d/a.yaml", "limits: {max_qos: 2}\nversion: 1\n");
  folder.write("conf.d/b.yaml", "limits: 5\nversion: 2\n");
  load_file();
  STRCMP_EQUAL(
      "conf.d/a.yaml:1:10: 'limits.max_qos' is already set at m.yaml:2\n"
      "conf.d/b.yaml:1:1: 'limits' is already set at m.yaml:1\n"
      "conf.d/b.yaml:2:1: 'version' is already set at conf.d/a.yaml:2\n",
      text_of_errors().c_str());
}

TEST(Loader, an_included_file_that_is_not_there_is_told_where_it_was_asked_for) {
  folder.write("m.yaml", "include: [none.yaml, 'x*.yaml', sub]\n");
  folder.write("sub/x", "");
  load_file();
  STRCMP_EQUAL(("m.yaml:1:11: none.yaml: No such file or directory (looked in " + folder.path() + ")\n" +
                "m.yaml:1:33: sub: Is a directory (looked in " + folder.path() + ")\n")
                   .c_str(),
               text_of_errors().c_str());
}

TEST(Loader, only_the_main_file_includes) {
  folder.write("m.yaml", "version: 1\n");
  folder.write("conf.d/a.yaml", "include: [a.yaml]\n");
  load_file();
  STRCMP_EQUAL("conf.d/a.yaml:1:1: only the main file may include\n", text_of_errors().c_str());
}

TEST(Loader, a_mistake_in_an_included_file_names_that_file) {
  folder.write("m.yaml", "version: 1\n");
  folder.write("conf.d/a.yaml", "limits: {max_qos: 1\n");
  folder.write("conf.d/b.yaml", "- a\n");
  CHECK(load_file().exists());
  STRCMP_EQUAL(
      "conf.d/a.yaml:1:9: this '{' is never closed\n"
      "    limits: {max_qos: 1\n"
      "            ^\n"
      "conf.d/b.yaml:1:1: a configuration is a map: key: value\n",
      text_of_errors().c_str());
}

TEST(Loader, the_limit_on_values_holds_for_all_files_together) {
  std::string many = "config: [";
  for (int i = 0; i < 6'000; ++i) many += "x,";
  folder.write("m.yaml", many + "]\n");
  folder.write("conf.d/a.yaml", many + "]\n");
  load_file();
  STRCMP_CONTAINS("conf.d/a.yaml:1:", text_of_errors().c_str());
  STRCMP_CONTAINS(": more than 10 000 values", text_of_errors().c_str());
}

TEST(Loader, set_overrides_what_files_say_and_adds_what_they_do_not) {
  folder.write("m.yaml", "limits: {max_qos: 1}\n");
  overrides = {"limits.max_qos=2", "limits.retain.enabled=false", "chains.a.authenticate=[x, y]", "limits.max_qos=0"};
  const ConfigNode root = load_file();
  STRCMP_EQUAL("", text_of_errors().c_str());
  STRCMP_EQUAL("0", root["limits"]["max_qos"].as_string().c_str());
  STRCMP_EQUAL("--set", root["limits"]["max_qos"].position().c_str());
  STRCMP_EQUAL("false", root["limits"]["retain"]["enabled"].as_string().c_str());
  STRCMP_EQUAL("y", root["chains"]["a"]["authenticate"].at(1).as_string().c_str());
}

TEST(Loader, set_finds_blocks_by_name_and_by_index) {
  folder.write("m.yaml", "listeners: [{name: a}, {name: web, bind: x}]\n");
  overrides = {"listeners.web.bind=y:1", "listeners.0.bind=z:1"};
  const ConfigNode root = load_file();
  STRCMP_EQUAL("", text_of_errors().c_str());
  STRCMP_EQUAL("y:1", root["listeners"].at(1)["bind"].as_string().c_str());
  STRCMP_EQUAL("z:1", root["listeners"].at(0)["bind"].as_string().c_str());
}

TEST(Loader, set_reaches_into_the_list_that_is_there_by_default) {
  folder.write("m.yaml", "version: 1\n");
  overrides = {"listeners.local.bind=127.0.0.1:1884"};
  const ConfigNode root = load_file();
  STRCMP_EQUAL("", text_of_errors().c_str());
  LONGS_EQUAL(1, root["listeners"].size());
  STRCMP_EQUAL("local", root["listeners"].at(0)["name"].as_string().c_str());
  STRCMP_EQUAL("127.0.0.1:1884", root["listeners"].at(0)["bind"].as_string().c_str());
}

TEST(Loader, set_refuses_a_block_that_is_not_there) {
  folder.write("m.yaml", "listeners: [{name: devices}, {name: web}]\n");
  overrides = {"listeners.devises.bind=x", "listeners.elephant.bind=x", "listeners.2.bind=x"};
  load_file();
  STRCMP_EQUAL(
      "--set: 'listeners.devises.bind': nothing here is named 'devises'; did you mean 'devices'?\n"
      "--set: 'listeners.elephant.bind': nothing here is named 'elephant'; there is devices, web\n"
      "--set: 'listeners.2.bind': nothing here is named '2'; there is devices, web\n",
      text_of_errors().c_str());
}

TEST(Loader, set_replaces_a_value_by_a_block_and_takes_text_as_it_is) {
  folder.write("m.yaml", "logging: {output: stderr}\n");
  overrides = {"logging.output.file=a: b # c", "config=", "config={a: [1]}"};
  const ConfigNode root = load_file();
  STRCMP_EQUAL("", text_of_errors().c_str());
  STRCMP_EQUAL("a: b # c", root["logging"]["output"]["file"].as_string().c_str());
  STRCMP_EQUAL("1", root["config"]["a"].at(0).as_string().c_str());
}

TEST(Loader, set_decides_what_is_included) {
  folder.write("m.yaml", "version: 1\n");
  folder.write("conf.d/a.yaml", "limits: {max_qos: 1}\n");
  overrides = {"limits.max_qos=0", "include=[]"};
  STRCMP_EQUAL("0", load_file()["limits"]["max_qos"].as_string().c_str());
  overrides = {"include.0=nope.yaml"};
  load_file();
  STRCMP_EQUAL(("--set: nope.yaml: No such file or directory (looked in " + folder.path() + ")\n").c_str(),
               text_of_errors().c_str());
}

TEST(Loader, set_that_is_no_assignment_is_refused) {
  folder.write("m.yaml", "version: 1\n");
  overrides = {"limits", "=1", "limits..max_qos=1", ".=1", "config=[1"};
  load_file();
  STRCMP_EQUAL(
      "--set: 'limits': write --set KEY=VALUE, e.g. --set limits.max_qos=1\n"
      "--set: '=1': write --set KEY=VALUE, e.g. --set limits.max_qos=1\n"
      "--set: 'limits..max_qos': an empty name between two dots\n"
      "--set: '.': an empty name between two dots\n"
      "--set:1:1: this '[' is never closed\n"
      "    [1\n"
      "    ^\n",
      text_of_errors().c_str());
}

TEST(Loader, without_a_file_overrides_are_all) {
  overrides = {"version=1"};
  STRCMP_EQUAL("1", load_file("")["version"].as_string().c_str());
  STRCMP_EQUAL("", text_of_errors().c_str());
}

TEST_GROUP(Errors) { Errors errors; };

TEST(Errors, are_told_in_the_order_of_files_and_lines) {
  const Source main{"m.yaml", "/"};
  const Source more{"conf.d/a.yaml", "/"};
  errors.add(Position{}, "no place");
  errors.add(Position{&main, 9, 1}, "c");
  errors.add(Position{&more, 1, 1}, "d");
  errors.add(Position{&main, 2, 7}, "b");
  errors.add(Position{&main, 2, 1}, "a");
  STRCMP_EQUAL("m.yaml:2:1: a\nm.yaml:2:7: b\nm.yaml:9:1: c\nconf.d/a.yaml:1:1: d\nno place\n", errors.text().c_str());
}

TEST(Errors, beyond_twenty_are_counted) {
  const Source main{"m.yaml", "/"};
  for (std::uint32_t i = 0; i < 25; ++i) errors.add(Position{&main, 25 - i, 1}, "x");
  const std::string text = errors.text();
  STRCMP_CONTAINS("m.yaml:1:1: x\n", text.c_str());
  STRCMP_CONTAINS("m.yaml:20:1: x\n... and 5 more\n", text.c_str());
  CHECK(text.find("m.yaml:21:1") == std::string::npos);
  LONGS_EQUAL(25, errors.size());
}

TEST(Errors, of_a_plugin_keep_their_text_and_kind) {
  errors.add(ok(), ErrorKind::kPlugin);
  CHECK(errors.empty());
  errors.add(not_found("m.yaml:3:5: x.so: no such file"), ErrorKind::kPlugin);
  STRCMP_EQUAL("m.yaml:3:5: x.so: no such file\n", errors.text().c_str());
  CHECK(errors.has(ErrorKind::kPlugin));
  CHECK_FALSE(errors.has(ErrorKind::kConfig));
}

}  // namespace mqloop::config
