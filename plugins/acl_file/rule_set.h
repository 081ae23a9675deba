// Rules that hold together (those of one user, or the patterns), and the two questions that access is decided by: does
// a rule cover a filter, and which rules overlap it? A topic is a filter without wildcards here, so that "the rule
// matches the topic" is the first question too. A few rules are asked one by one; many stand in a tree of levels, so
// that the answer costs the levels of the question, not the number of rules.
// Filled once, then only read, by any thread. The rules' texts belong to whoever filled it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/acl_file/acl_text.h"

namespace mqloop::acl {

// The names that a client puts in for %c and %u.
struct Client {
  std::string_view id;
  std::string_view user;  // empty: it has none
};

// Whether a name may stand for a level: one that is empty or holds `/`, `+`, `#` or U+0000 fills no pattern
// (CVE-2017-7650), and one that begins with `$` no first level, where it would reach topics of the broker's own.
[[nodiscard]] bool may_fill(std::string_view name, bool first_level) noexcept;

class RuleSet {
 public:
  // Up to so many rules are a list.
  static constexpr std::size_t kMostListed = 8;

  RuleSet();
  explicit RuleSet(std::vector<Rule> rules, std::size_t most_listed = kMostListed);
  RuleSet(RuleSet&&) noexcept;
  RuleSet& operator=(RuleSet&&) noexcept;
  ~RuleSet();

  [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }
  [[nodiscard]] bool empty() const noexcept { return rules_.empty(); }

  // The first rule in the file, among those with any of `rights`, that matches every topic of `filter` for `client`.
  // Null: none.
  [[nodiscard]] const Rule* covering(std::uint8_t rights, std::string_view filter, const Client& client) const;

  // Calls visit(rule, its filter with the client's names put in) for the rules with any of `rights` that match a topic
  // of `filter`, in no order, until it answers true; whether it did.
  template <typename Visit>
  bool find_overlapping(std::uint8_t rights, std::string_view filter, const Client& client, Visit visit) const {
    const auto look = [](void* context, const Rule& rule, std::string_view filled) {
      return (*static_cast<Visit*>(context))(rule, filled);
    };
    return overlapping(rights, filter, client, look, &visit);
  }

 private:
  class Tree;
  using Look = bool (*)(void* context, const Rule& rule, std::string_view filled);
  bool overlapping(std::uint8_t rights, std::string_view filter, const Client& client, Look look, void* context) const;

  std::vector<Rule> rules_;
  std::unique_ptr<Tree> tree_;  // null: a list
};

}  // namespace mqloop::acl
