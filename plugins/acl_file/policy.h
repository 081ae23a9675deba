// What an access control list says about an access. Rules of the client's user (or those for clients without a user
// name) and the patterns hold together: any `deny` wins, wherever it stands; else one rule that allows is needed; what
// no rule speaks of is denied, and so an empty list denies everything (CVE-2018-12550).
// Made once, then only read, by any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "plugins/acl_file/acl_text.h"
#include "plugins/acl_file/rule_set.h"

namespace mqloop::acl {

enum class Answer : std::uint8_t {
  kAllow,
  kAllowSome,  // of a filter: some of its topics
  kDeny,
};

struct Decision {
  Answer answer = Answer::kDeny;
  const Rule* rule = nullptr;  // that decided; null: none allows it
};

class Policy {
 public:
  Policy() = default;
  // `text` is what an AclText without mistakes was read from; the policy keeps it.
  explicit Policy(std::string text);
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // Empty: it can be used. Told when it was made.
  [[nodiscard]] const std::vector<Mistake>& mistakes() const noexcept { return mistakes_; }

  // May `client` read (kRead) or write (kWrite) this topic?
  [[nodiscard]] Decision on_topic(Right right, std::string_view topic, bool has_user, const Client& client) const;
  // May it subscribe to `filter`? kAllow: to every topic of it. kAllowSome: to one at least.
  [[nodiscard]] Decision on_filter(std::string_view filter, bool has_user, const Client& client) const;

 private:
  struct Concerned;
  [[nodiscard]] Concerned concerned(bool has_user, const Client& client) const;

  std::string text_;
  std::vector<Mistake> mistakes_;
  std::unordered_map<std::string_view, RuleSet> users_;
  RuleSet anonymous_;
  RuleSet patterns_;
};

}  // namespace mqloop::acl
