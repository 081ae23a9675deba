#include "core/config/yaml_reader.h"

#include <string>

#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::config {
namespace {

// The only complaint of a text, without its excerpt.
std::string complaint_of(std::string_view text) {
  const std::string errors = RawText(text).errors();
  return errors.substr(0, errors.find('\n'));
}

}  // namespace

TEST_GROUP(YamlReader){};

TEST(YamlReader, scalars_lists_and_maps_keep_their_order_and_places) {
  const RawText text("b: 1\na:\n  - x\n  - {k: v}\n");
  STRCMP_EQUAL("", text.errors().c_str());
  CHECK(text.root().is_map());
  LONGS_EQUAL(2, text.root().size());
  STRCMP_EQUAL("b", std::string(text.root().at(0).key()).c_str());
  STRCMP_EQUAL("1", text.root()["b"].as_string().c_str());
  STRCMP_EQUAL("t.yaml:1:4", text.root()["b"].position().c_str());
  CHECK(text.root()["a"].is_list());
  STRCMP_EQUAL("t.yaml:3:5", text.root()["a"].at(0).position().c_str());
  STRCMP_EQUAL("v", text.root()["a"].at(1)["k"].as_string().c_str());
  STRCMP_EQUAL("t.yaml:4:9", text.root()["a"].at(1)["k"].position().c_str());
}

TEST(YamlReader, columns_count_characters_not_bytes) {
  STRCMP_EQUAL("t.yaml:1:11", RawText("{ä: ö, k: x}").root()["k"].position().c_str());
}

TEST(YamlReader, a_byte_order_mark_and_dos_line_ends_are_fine) {
  const RawText text(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: 2\r\n");
  STRCMP_EQUAL("", text.errors().c_str());
  STRCMP_EQUAL("t.yaml:1:4", text.root()["a"].position().c_str());
  STRCMP_EQUAL("2", text.root()["b"].as_string().c_str());
}

TEST(YamlReader, an_empty_file_is_an_empty_configuration) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n"}) {
    const RawText raw(text);
    STRCMP_EQUAL("", raw.errors().c_str());
    CHECK(raw.root().exists());
    LONGS_EQUAL(0, raw.root().size());
  }
}

TEST(YamlReader, a_key_twice_is_refused_with_the_first_line_and_the_rest_is_read) {
  const RawText text("a: 1\nm:\n  max_qos: 1\n  b: 2\n  max_qos: 2\na: 3\nz: 9\n");
  STRCMP_EQUAL("t.yaml:5:3: 'max_qos' is already set at line 3\nt.yaml:6:1: 'a' is already set at line 1\n",
               text.errors().c_str());
  STRCMP_EQUAL("1", text.root()["m"]["max_qos"].as_string().c_str());
  STRCMP_EQUAL("9", text.root()["z"].as_string().c_str());
}

TEST(YamlReader, an_open_bracket_is_named_where_it_was_opened) {
  STRCMP_EQUAL(
      "t.yaml:3:2: this '{' is never closed\n"
      "     {name: local\n"
      "     ^\n",
      RawText("a: 1\nb:\n {name: local\nc: 2\n").errors().c_str());
  STRCMP_EQUAL("t.yaml:1:4: this '[' is never closed", complaint_of("a: [1, 2\nb: 3\nc: {x: y}\n").c_str());
  STRCMP_EQUAL("t.yaml:1:5: this '{' is never closed", complaint_of("a: [{x: 1]\n").c_str());
  STRCMP_EQUAL("t.yaml:2:4: this '[' is never closed", complaint_of("a: \"[{\" # [{\nb: [1\n").c_str());
  STRCMP_EQUAL("t.yaml:4:4: this '[' is never closed", complaint_of("a: |\n  [ {\n  ' \"\nb: [1\n").c_str());
}

TEST(YamlReader, a_quote_that_swallows_lines_is_named_where_it_was_opened) {
  STRCMP_EQUAL(
      "t.yaml:1:4: this \" is never closed on its line\n"
      "    a: \"abc\n"
      "       ^\n",
      RawText("a: \"abc\nb: 2\nc: \"x\"\n").errors().c_str());
  STRCMP_EQUAL("t.yaml:2:4: this ' is never closed on its line", complaint_of("a: 1\nb: 'it''s\nc: 2\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: this \" is never closed on its line", complaint_of("a: \"one\n  two\"\n").c_str());
  STRCMP_EQUAL("t.yaml:1:1: this \" is never closed on its line", complaint_of("\"a: 1\n").c_str());
  STRCMP_EQUAL("t.yaml:1:7: this \" is never closed on its line", complaint_of("a: &x \"one\n  two\"\n").c_str());
}

TEST(YamlReader, quotes_that_end_on_their_line_are_fine) {
  const RawText text("a: \"x \\\" ' y\"\nb: 'it''s \"'\nc: it's\nd: {e: 'f', g: \"h\"}\n");
  STRCMP_EQUAL("", text.errors().c_str());
  STRCMP_EQUAL("x \" ' y", text.root()["a"].as_string().c_str());
  STRCMP_EQUAL("it's \"", text.root()["b"].as_string().c_str());
  STRCMP_EQUAL("it's", text.root()["c"].as_string().c_str());
}

TEST(YamlReader, tabs_in_the_indentation_are_refused_kindly) {
  STRCMP_EQUAL("t.yaml:2:1: a tab in the indentation: use spaces", complaint_of("a:\n\tb: 1\n").c_str());
  STRCMP_EQUAL("t.yaml:2:3: a tab in the indentation: use spaces", complaint_of("a:\n  \tb: 1\n").c_str());
  STRCMP_EQUAL("", complaint_of("a:\tb\t# a comment\n  \nc: 1\n").c_str());
}

TEST(YamlReader, what_is_no_text_is_refused) {
  STRCMP_EQUAL("t.yaml:1:4: this is not UTF-8 text", complaint_of("a: \xff\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: a control character: a configuration is plain text",
               complaint_of(std::string_view("a: \0\n", 5)).c_str());
  STRCMP_EQUAL("t.yaml:1:1: this is not UTF-8 text", complaint_of("\xff\xfe"
                                                                  "a\0")
                                                         .c_str());
}

TEST(YamlReader, one_file_holds_one_document) {
  STRCMP_EQUAL("t.yaml:2:1: a second document starts here: one file holds one",
               complaint_of("a: 1\n---\nb: 2\n").c_str());
  STRCMP_EQUAL("t.yaml:2:1: a second document starts here: one file holds one", complaint_of("- a\nb: c\n").c_str());
}

TEST(YamlReader, merge_keys_tags_and_odd_keys_are_refused) {
  STRCMP_EQUAL("t.yaml:2:1: merge keys ('<<') are not supported: write the keys out",
               complaint_of("a: &a {x: 1}\n<<: *a\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: tags ('!') are not supported: the type of a value follows from its key",
               complaint_of("a: !!str 5\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: tags ('!') are not supported: the type of a value follows from its key",
               complaint_of("a: !x [5]\n").c_str());
  STRCMP_EQUAL("t.yaml:1:3: a key must be a single word", complaint_of("? [a]\n: b\n").c_str());
  STRCMP_EQUAL("t.yaml:2:1: an alias cannot be a key", complaint_of("a: &a b\n*a : c\n").c_str());
  STRCMP_EQUAL("", complaint_of("'<<': 1\n").c_str());
}

TEST(YamlReader, aliases_are_copies) {
  const RawText text("a: &a {x: 1, y: [2]}\nb: *a\n");
  STRCMP_EQUAL("", text.errors().c_str());
  STRCMP_EQUAL("2", text.root()["b"]["y"].at(0).as_string().c_str());
  STRCMP_EQUAL("b", std::string(text.root()["b"].key()).c_str());
  STRCMP_EQUAL("a", std::string(text.root()["a"].key()).c_str());
}

TEST(YamlReader, cycles_and_alias_bombs_are_refused) {
  STRCMP_EQUAL("t.yaml:1:8: this alias stands inside what it names", complaint_of("a: &x [*x]\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: there is no anchor of this name above", complaint_of("a: *x\n").c_str());
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 6; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j == 0 ? "" : ", ") + before;
    bomb += "]\n";
  }
  STRCMP_CONTAINS(": more than 10 000 values", complaint_of(bomb).c_str());
  std::string many = "a: &a x\nb: [";
  for (int i = 0; i < 65; ++i) many += "*a, ";
  STRCMP_CONTAINS(": more than 64 aliases", complaint_of(many + "]\n").c_str());
}

TEST(YamlReader, large_files_many_values_and_deep_nesting_are_refused) {
  STRCMP_EQUAL("t.yaml: larger than 1MiB: this is not a configuration",
               complaint_of(std::string((1U << 20) + 1, '#')).c_str());
  std::string many = "a: [";
  for (int i = 0; i < 10'000; ++i) many += "x,";
  STRCMP_CONTAINS(": more than 10 000 values", complaint_of(many + "]\n").c_str());
  STRCMP_CONTAINS(": nested too deeply", complaint_of(std::string(65, '[') + std::string(65, ']')).c_str());
  STRCMP_EQUAL("", complaint_of(std::string(64, '[') + std::string(64, ']')).c_str());
  for (const char* opener : {"[", "{a: ", "- "}) {
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += opener;
    CHECK_FALSE(RawText(deep).errors().empty());
  }
}

TEST(YamlReader, the_parsers_complaints_are_said_in_other_words) {
  STRCMP_EQUAL(
      "t.yaml:1:5: a key is not expected here: is the line indented like its neighbours? A text that contains ': ' "
      "needs quotes",
      complaint_of("a: b: c\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: a text that starts with this character needs quotes", complaint_of("a: @x\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: a list item ('- ') is not expected here: it stands on a line of its own",
               complaint_of("a: - b\n").c_str());
  STRCMP_EQUAL("t.yaml:1:4: this bracket closes nothing", complaint_of("a: }\n").c_str());
}

TEST(YamlReader, a_long_line_is_shown_around_the_place) {
  const std::string line = "a: " + std::string(200, 'x') + " [" + std::string(200, 'y');
  const std::string errors = RawText("k: [" + line + "\n").errors();
  STRCMP_CONTAINS("this '[' is never closed", errors.c_str());
  CHECK(errors.size() < 300);
}

}  // namespace mqloop::config
