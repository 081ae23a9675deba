#include "plugins/acl_file/rule_set.h"

#include <algorithm>
#include <functional>
#include <span>
#include <unordered_map>
#include <utility>

#include <mqloop/topic.h>

namespace mqloop::acl {

namespace {

using Levels = std::vector<std::string_view>;

// Takes the first level off `rest`; false when it was the last.
bool cut_level(std::string_view& rest, std::string_view& level) noexcept {
  const std::size_t slash = rest.find('/');
  level = rest.substr(0, slash);
  if (slash == std::string_view::npos) return false;
  rest.remove_prefix(slash + 1);
  return true;
}

Levels levels_of(std::string_view filter) {
  Levels levels;
  levels.reserve(static_cast<std::size_t>(std::count(filter.begin(), filter.end(), '/')) + 1);
  for (bool more = true; more;) {
    std::string_view level;
    more = cut_level(filter, level);
    levels.push_back(level);
  }
  return levels;
}

// The rule's filter with the client's names put in; empty when the pattern is nothing for this client.
std::string_view fill(const Rule& rule, const Client& client, std::string& buffer) {
  if (!rule.has_placeholder) return rule.filter;
  buffer.clear();
  std::string_view rest = rule.filter;
  for (bool more = true, first = true; more; first = false) {
    std::string_view level;
    more = cut_level(rest, level);
    if (level == kClientPlaceholder || level == kUserPlaceholder) {
      level = level == kClientPlaceholder ? client.id : client.user;
      if (!may_fill(level, first)) return {};
    }
    if (!first) buffer += '/';
    buffer += level;
  }
  return buffer;
}

}  // namespace

bool may_fill(std::string_view name, bool first_level) noexcept {
  if (name.empty() || (first_level && name.front() == '$')) return false;
  return name.find_first_of(std::string_view("/+#\0", 4)) == std::string_view::npos;
}

// The rules by their levels. Numbers of nodes and rules; 0 is the root, and as a link: none. Rule n is n + 1.
class RuleSet::Tree {
 public:
  explicit Tree(std::span<const Rule> rules) : rules_(rules), next_(rules.size() + 1, 0) {
    nodes_.emplace_back();
    for (std::uint32_t i = 0; i != rules.size(); ++i) add(i + 1);
  }

  // Both call visit(rule) for the rules found, until it answers true; whether it did.
  template <typename Visit>
  bool covering(const Levels& filter, const Client& client, Visit visit) const;
  template <typename Visit>
  bool overlapping(const Levels& filter, const Client& client, Visit visit) const;

 private:
  enum class Kind : std::uint8_t { kText, kAny, kClient, kUser };
  struct Node {
    std::string_view text;
    std::uint32_t first_child = 0;
    std::uint32_t next = 0;       // among the parent's children
    std::uint32_t any = 0;        // the child `+`
    std::uint32_t client = 0;     // the child %c
    std::uint32_t user = 0;       // the child %u
    std::uint32_t ending = 0;     // rules that end here
    std::uint32_t with_rest = 0;  // rules that go on with `#`
    Kind kind = Kind::kText;
  };
  struct Key {
    std::uint32_t parent;
    std::string_view text;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::string_view>()(key.text) ^ (key.parent * 0x9E3779B97F4A7C15U);
    }
  };
  // A node, and how many levels of the question lie above it.
  struct Place {
    std::uint32_t node;
    std::uint32_t depth;
  };

  void add(std::uint32_t number);
  std::uint32_t child(std::uint32_t parent, std::string_view level, bool is_pattern);
  std::uint32_t make(std::uint32_t parent, std::string_view level, Kind kind);
  [[nodiscard]] std::uint32_t text_child(std::uint32_t parent, std::string_view level) const {
    const auto found = children_.find({parent, level});
    return found == children_.end() ? 0 : found->second;
  }
  template <typename Visit>
  bool each(std::uint32_t number, Visit& visit) const {
    for (; number != 0; number = next_[number]) {
      if (visit(rules_[number - 1])) return true;
    }
    return false;
  }
  // The children that a text fits, `+` left out where the text begins with `$`.
  template <typename Go>
  void go_where_it_fits(const Place& place, std::string_view text, const Client& client, Go go) const {
    const Node& node = nodes_[place.node];
    const bool first = place.node == 0;
    if (const std::uint32_t found = text_child(place.node, text); found != 0) go(found);
    if (node.any != 0 && !(first && text.starts_with('$'))) go(node.any);
    if (node.client != 0 && text == client.id && may_fill(text, first)) go(node.client);
    if (node.user != 0 && text == client.user && may_fill(text, first)) go(node.user);
  }

  std::span<const Rule> rules_;
  std::vector<std::uint32_t> next_;  // by rule: the next in the list that it stands in
  std::vector<Node> nodes_;
  std::unordered_map<Key, std::uint32_t, KeyHash> children_;  // those of a text
};

void RuleSet::Tree::add(std::uint32_t number) {
  const Rule& rule = rules_[number - 1];
  std::string_view rest = rule.filter;
  std::uint32_t node = 0;
  for (bool more = true; more;) {
    std::string_view level;
    more = cut_level(rest, level);
    if (level == "#") {
      next_[number] = std::exchange(nodes_[node].with_rest, number);
      return;
    }
    node = child(node, level, rule.has_placeholder);
  }
  next_[number] = std::exchange(nodes_[node].ending, number);
}

std::uint32_t RuleSet::Tree::child(std::uint32_t parent, std::string_view level, bool is_pattern) {
  std::uint32_t Node::*special = nullptr;
  Kind kind = Kind::kText;
  if (level == "+") {
    special = &Node::any;
    kind = Kind::kAny;
  } else if (is_pattern && level == kClientPlaceholder) {
    special = &Node::client;
    kind = Kind::kClient;
  } else if (is_pattern && level == kUserPlaceholder) {
    special = &Node::user;
    kind = Kind::kUser;
  }
  if (special != nullptr) {
    if (nodes_[parent].*special == 0) {
      const std::uint32_t made = make(parent, level, kind);
      nodes_[parent].*special = made;
    }
    return nodes_[parent].*special;
  }
  if (const std::uint32_t found = text_child(parent, level); found != 0) return found;
  const std::uint32_t made = make(parent, level, kind);
  children_.emplace(Key{parent, level}, made);
  return made;
}

std::uint32_t RuleSet::Tree::make(std::uint32_t parent, std::string_view level, Kind kind) {
  const auto number = static_cast<std::uint32_t>(nodes_.size());
  Node& node = nodes_.emplace_back();
  node.text = level;
  node.kind = kind;
  node.next = std::exchange(nodes_[parent].first_child, number);
  return number;
}

template <typename Visit>
bool RuleSet::Tree::covering(const Levels& filter, const Client& client, Visit visit) const {
  const bool begins_with_dollar = filter.front().starts_with('$');
  std::vector<Place> places = {{0, 0}};
  while (!places.empty()) {
    const Place place = places.back();
    places.pop_back();
    const Node& node = nodes_[place.node];
    const bool is_root = place.node == 0;
    if (!(is_root && begins_with_dollar) && each(node.with_rest, visit)) return true;
    if (place.depth == filter.size()) {
      if (each(node.ending, visit)) return true;
      continue;
    }
    const std::string_view level = filter[place.depth];
    if (level == "#") {
      // `+/#` covers `#`, as a topic has a first level.
      if (is_root && node.any != 0 && each(nodes_[node.any].with_rest, visit)) return true;
    } else if (level == "+") {
      if (node.any != 0) places.push_back({node.any, place.depth + 1});
    } else {
      go_where_it_fits(place, level, client, [&](std::uint32_t found) { places.push_back({found, place.depth + 1}); });
    }
  }
  return false;
}

template <typename Visit>
bool RuleSet::Tree::overlapping(const Levels& filter, const Client& client, Visit visit) const {
  const bool begins_with_dollar = filter.front().starts_with('$');
  std::vector<Place> places = {{0, 0}};
  while (!places.empty()) {
    const Place place = places.back();
    places.pop_back();
    const Node& node = nodes_[place.node];
    const bool is_root = place.node == 0;
    if (!(is_root && begins_with_dollar) && each(node.with_rest, visit)) return true;
    const bool at_end = place.depth == filter.size();
    const std::string_view level = at_end ? std::string_view() : filter[place.depth];
    const bool rest = !at_end && level == "#";
    if ((at_end || rest) && each(node.ending, visit)) return true;
    if (at_end) continue;
    if (!rest && level != "+") {
      go_where_it_fits(place, level, client, [&](std::uint32_t found) { places.push_back({found, place.depth + 1}); });
      continue;
    }
    for (std::uint32_t number = node.first_child; number != 0; number = nodes_[number].next) {
      const Node& below = nodes_[number];
      if (below.kind == Kind::kText && is_root && below.text.starts_with('$')) continue;
      if (below.kind == Kind::kClient && !may_fill(client.id, is_root)) continue;
      if (below.kind == Kind::kUser && !may_fill(client.user, is_root)) continue;
      places.push_back({number, rest ? place.depth : place.depth + 1});
    }
  }
  return false;
}

RuleSet::RuleSet() = default;
RuleSet::RuleSet(RuleSet&&) noexcept = default;
RuleSet& RuleSet::operator=(RuleSet&&) noexcept = default;
RuleSet::~RuleSet() = default;

RuleSet::RuleSet(std::vector<Rule> rules, std::size_t most_listed) : rules_(std::move(rules)) {
  rules_.shrink_to_fit();
  if (rules_.size() > most_listed) tree_ = std::make_unique<Tree>(rules_);
}

const Rule* RuleSet::covering(std::uint8_t rights, std::string_view filter, const Client& client) const {
  const Rule* first = nullptr;
  if (tree_) {
    tree_->covering(levels_of(filter), client, [&](const Rule& rule) {
      if ((rule.rights & rights) != 0 && (first == nullptr || rule.line < first->line)) first = &rule;
      return false;
    });
    return first;
  }
  std::string buffer;
  for (const Rule& rule : rules_) {
    if ((rule.rights & rights) == 0) continue;
    const std::string_view filled = fill(rule, client, buffer);
    if (!filled.empty() && filter_covers(filled, filter)) return &rule;
  }
  return nullptr;
}

bool RuleSet::overlapping(std::uint8_t rights, std::string_view filter, const Client& client, Look look,
                          void* context) const {
  std::string buffer;
  if (tree_) {
    return tree_->overlapping(levels_of(filter), client, [&](const Rule& rule) {
      return (rule.rights & rights) != 0 && look(context, rule, fill(rule, client, buffer));
    });
  }
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    if ((rule.rights & rights) == 0) return false;
    const std::string_view filled = fill(rule, client, buffer);
    return !filled.empty() && filters_overlap(filled, filter) && look(context, rule, filled);
  });
}

}  // namespace mqloop::acl
