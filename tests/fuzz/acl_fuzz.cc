// An access control list from anybody: reading it tells mistakes or makes a policy; a policy answers a topic and the
// filter of the same text alike, what is refused as a whole is refused topic by topic, and its rules say the same as a
// tree and as a list.
// Input: client identifier, user name, filter and topic, each up to a newline, then the list.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <mqloop/topic.h>

#include "core/mqtt/topic.h"
#include "plugins/acl_file/acl_text.cc"
#include "plugins/acl_file/policy.cc"
#include "plugins/acl_file/rule_set.cc"
#include "tests/fuzz/mqtt_input.h"

namespace {

using namespace mqloop;       // NOLINT(google-build-using-namespace)
using namespace mqloop::acl;  // NOLINT(google-build-using-namespace)

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

void check_mistakes(std::string_view text, const std::vector<Mistake>& mistakes) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const Mistake& mistake : mistakes) {
    mqtt::fuzz::require(mistake.line != 0 && mistake.line <= lines && mistake.column != 0 && !mistake.what.empty());
  }
}

void check_sets(std::string_view text, std::string_view filter, const Client& client) {
  AclText read = read_acl(text);
  std::vector<Rule> rules = read.patterns;
  for (const AclText::Section& section : read.users) {
    rules.insert(rules.end(), section.rules.begin(), section.rules.end());
  }
  std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.line < b.line; });
  const RuleSet list(rules, rules.size());
  const RuleSet tree(rules, 0);
  for (const std::uint8_t right : {kRead, kWrite, kDeny}) {
    const Rule* by_list = list.covering(right, filter, client);
    const Rule* by_tree = tree.covering(right, filter, client);
    mqtt::fuzz::require((by_list == nullptr) == (by_tree == nullptr));
    mqtt::fuzz::require(by_list == nullptr || by_list->line == by_tree->line);
    std::array<std::size_t, 2> found{};
    list.find_overlapping(right, filter, client, [&](const Rule&, std::string_view) { return ++found[0] == 0; });
    tree.find_overlapping(right, filter, client, [&](const Rule&, std::string_view) { return ++found[1] == 0; });
    mqtt::fuzz::require(found[0] == found[1]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view id = take_line(input);
  const std::string_view user = take_line(input);
  const std::string_view filter = take_line(input);
  const std::string_view topic = take_line(input);
  const Policy policy{std::string(input)};
  check_mistakes(input, policy.mistakes());
  if (!policy.mistakes().empty()) return 0;
  if (!mqtt::validate_topic_filter(filter).ok() || mqtt::is_shared(filter)) return 0;
  if (!mqtt::validate_topic_name(topic).ok()) return 0;

  const Client client{id, user};
  const bool has_user = !user.empty();
  const Decision read = policy.on_topic(kRead, topic, has_user, client);
  if (!mqtt::is_shared(topic)) {
    mqtt::fuzz::require(policy.on_filter(topic, has_user, client).answer == read.answer);
  }
  const Decision whole = policy.on_filter(filter, has_user, client);
  if (topic_matches(filter, topic) && whole.answer != Answer::kAllowSome) {
    mqtt::fuzz::require(read.answer == whole.answer);
  }
  check_sets(input, filter, client);
  return 0;
}
