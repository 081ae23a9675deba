#include "core/config/expand.h"

#include <string>

#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace mqloop::config {
namespace {

std::string expanded(std::string_view text) {
  std::string out;
  std::string complaint;
  if (!expand(text, test_environment, out, complaint)) return "refused: " + complaint;
  return out;
}

}  // namespace

TEST_GROUP(Expand){};

TEST(Expand, a_variable_is_its_value) {
  STRCMP_EQUAL("127.0.0.1:1884", expanded("127.0.0.1:${PORT}").c_str());
  STRCMP_EQUAL("1884-1884", expanded("${PORT}-${PORT}").c_str());
  STRCMP_EQUAL("", expanded("${EMPTY}").c_str());
}

TEST(Expand, a_variable_that_is_not_set_is_a_mistake) {
  STRCMP_EQUAL("refused: the environment variable NOPE is not set; ${NOPE:-default} would give it a default",
               expanded("x${NOPE}").c_str());
}

TEST(Expand, a_default_stands_for_unset_and_empty) {
  STRCMP_EQUAL("1883", expanded("${NOPE:-1883}").c_str());
  STRCMP_EQUAL("1883", expanded("${EMPTY:-1883}").c_str());
  STRCMP_EQUAL("1884", expanded("${PORT:-1883}").c_str());
  STRCMP_EQUAL("", expanded("${NOPE:-}").c_str());
  STRCMP_EQUAL("a:b-c?d", expanded("${NOPE:-a:b-c?d}").c_str());
}

TEST(Expand, a_message_of_ones_own) {
  STRCMP_EQUAL("refused: NOPE: set it in the unit file", expanded("${NOPE:?set it in the unit file}").c_str());
  STRCMP_EQUAL("refused: EMPTY: not set", expanded("${EMPTY:?}").c_str());
  STRCMP_EQUAL("1884", expanded("${PORT:?no}").c_str());
}

TEST(Expand, two_dollars_stand_for_the_characters_themselves) {
  STRCMP_EQUAL("${PORT}", expanded("$${PORT}").c_str());
  STRCMP_EQUAL("a${b", expanded("a$${b").c_str());
  STRCMP_EQUAL("$PORT $ $$ {}", expanded("$PORT $ $$ {}").c_str());
}

TEST(Expand, what_a_variable_holds_is_not_expanded_again) { STRCMP_EQUAL("${PORT}", expanded("${DOLLAR}").c_str()); }

TEST(Expand, other_forms_are_refused) {
  STRCMP_EQUAL("refused: '${PORT': this '${' is never closed", expanded("${PORT").c_str());
  for (const char* text : {"${}", "${1A}", "${A B}", "${A:+x}", "${A:x}", "${-x}", "${:-x}"}) {
    STRCMP_EQUAL(("refused: '" + std::string(text) +
                  "': write ${VAR}, ${VAR:-default}, ${VAR:?message}, or $${ for the characters themselves")
                     .c_str(),
                 expanded(text).c_str());
  }
}

TEST(Expand, a_value_cannot_bring_structure_with_it) {
  Document document;
  Errors errors;
  Node* root = read_yaml(document, document.source("t.yaml", "/"), "a: ${SPACED}\nb: ['${SPACED}']\n", errors);
  expand_tree(*root, test_environment, errors);
  document.set_root(root);
  CHECK(errors.empty());
  LONGS_EQUAL(2, document.root().size());
  STRCMP_EQUAL("a: b, {c}", document.root()["a"].as_string().c_str());
  STRCMP_EQUAL("a: b, {c}", document.root()["b"].at(0).as_string().c_str());
}

TEST(Expand, mistakes_carry_the_place_and_keys_are_left_alone) {
  Document document;
  Errors errors;
  Node* root = read_yaml(document, document.source("t.yaml", "/"), "${PORT}: 1\nb: {c: '${NOPE}'}\n", errors);
  expand_tree(*root, test_environment, errors);
  STRCMP_EQUAL("t.yaml:2:8: the environment variable NOPE is not set; ${NOPE:-default} would give it a default\n",
               errors.text().c_str());
  CHECK(find(*root, "${PORT}") != nullptr);
}

}  // namespace mqloop::config
