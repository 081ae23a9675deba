#include <set>
#include <string>

#include <CppUTest/TestHarness.h>

#include "core/mqtt/fault.h"
#include "core/mqtt/reason_codes.h"
#include "tests/unit/mqtt/tables.h"

namespace mqloop::mqtt::test {

TEST_GROUP(Faults){};

TEST(Faults, each_cites_a_statement_that_exists_or_a_section) {
  std::set<std::string> statements;
  for (const auto& row : read_table("mqtt-statements.tsv")) statements.insert(row[1]);
  CHECK(statements.size() > 200);
  for (int i = 1; i < static_cast<int>(Fault::kCount); ++i) {
    const Verdict& verdict = verdict_on(static_cast<Fault>(i));
    const std::string rule = verdict.rule;
    CHECK_TEXT(statements.contains(rule) || rule.starts_with("section "), rule.c_str());
  }
}

TEST(Faults, each_has_a_code_that_a_server_may_send_and_words_for_it) {
  for (int i = 1; i < static_cast<int>(Fault::kCount); ++i) {
    const Verdict& verdict = verdict_on(static_cast<Fault>(i));
    const std::string text(verdict.explanation);
    CHECK_TEXT(text.size() > 10 && text.back() != '.', text.c_str());
    CHECK_TEXT(may_carry(PacketType::kConnack, verdict.code, Role::kServer) ||
                   may_carry(PacketType::kDisconnect, verdict.code, Role::kServer),
               text.c_str());
  }
}

}  // namespace mqloop::mqtt::test
