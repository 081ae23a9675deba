#include "plugins/acl_file/policy.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace mqloop::acl {

namespace {

// The topics that two overlapping filters have in common: a filter again, of each pair of levels the narrower one.
std::string intersection(std::string_view a, std::string_view b) {
  std::string both;
  for (bool first = true;; first = false) {
    if (!first) both += '/';
    const std::size_t slash_a = a.find('/');
    const std::size_t slash_b = b.find('/');
    const std::string_view level_a = a.substr(0, slash_a);
    const std::string_view level_b = b.substr(0, slash_b);
    if (level_a == "#" || level_b == "#") return both.append(level_a == "#" ? b : a);
    both.append(level_a == "+" ? level_b : level_a);
    if (slash_a == std::string_view::npos || slash_b == std::string_view::npos) return both;
    a.remove_prefix(slash_a + 1);
    b.remove_prefix(slash_b + 1);
  }
}

}  // namespace

Policy::Policy(std::string text) : text_(std::move(text)) {
  AclText read = read_acl(text_);
  mistakes_ = std::move(read.mistakes);
  std::unordered_map<std::string_view, std::vector<Rule>> by_user;
  for (AclText::Section& section : read.users) {
    std::vector<Rule>& rules = by_user[section.user];
    rules.insert(rules.end(), section.rules.begin(), section.rules.end());
  }
  users_.reserve(by_user.size());
  for (auto& [user, rules] : by_user) users_.emplace(user, RuleSet(std::move(rules)));
  anonymous_ = RuleSet(std::move(read.anonymous));
  patterns_ = RuleSet(std::move(read.patterns));
}

// The rules that concern `client`, less those of other users.
struct Policy::Concerned {
  std::array<const RuleSet*, 2> sets;
  const Client& client;

  [[nodiscard]] const Rule* covering(std::uint8_t rights, std::string_view filter) const {
    for (const RuleSet* set : sets) {
      if (set == nullptr || set->empty()) continue;
      if (const Rule* rule = set->covering(rights, filter, client)) return rule;
    }
    return nullptr;
  }
  template <typename Visit>
  bool find_overlapping(std::uint8_t rights, std::string_view filter, Visit visit) const {
    return std::any_of(sets.begin(), sets.end(), [&](const RuleSet* set) {
      return set != nullptr && !set->empty() && set->find_overlapping(rights, filter, client, visit);
    });
  }
};

Policy::Concerned Policy::concerned(bool has_user, const Client& client) const {
  if (!has_user) return {{&anonymous_, &patterns_}, client};
  const auto found = users_.find(client.user);
  return {{found == users_.end() ? nullptr : &found->second, &patterns_}, client};
}

Decision Policy::on_topic(Right right, std::string_view topic, bool has_user, const Client& client) const {
  const Concerned rules = concerned(has_user, client);
  if (const Rule* deny = rules.covering(kDeny, topic)) return {Answer::kDeny, deny};
  const Rule* allow = rules.covering(right, topic);
  return {allow == nullptr ? Answer::kDeny : Answer::kAllow, allow};
}

Decision Policy::on_filter(std::string_view filter, bool has_user, const Client& client) const {
  const Concerned rules = concerned(has_user, client);
  if (const Rule* deny = rules.covering(kDeny, filter)) return {Answer::kDeny, deny};
  const bool some_denied = rules.find_overlapping(kDeny, filter, [](const Rule&, std::string_view) { return true; });
  if (!some_denied) {
    if (const Rule* allow = rules.covering(kRead, filter)) return {Answer::kAllow, allow};
  }
  // One topic that is allowed and not denied is enough.
  Decision decision;
  rules.find_overlapping(kRead, filter, [&](const Rule& allow, std::string_view filled) {
    const Rule* deny = some_denied ? rules.covering(kDeny, intersection(filled, filter)) : nullptr;
    decision = {deny == nullptr ? Answer::kAllowSome : Answer::kDeny, deny == nullptr ? &allow : deny};
    return deny == nullptr;
  });
  return decision;
}

}  // namespace mqloop::acl
