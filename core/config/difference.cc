#include "core/config/difference.h"

#include <algorithm>
#include <utility>

namespace mqloop::config {
namespace {

constexpr std::string_view kHidden = "***";

bool same_tree(const Node& a, const Node& b) noexcept {
  if (a.kind != b.kind || a.text != b.text || a.children.size() != b.children.size()) return false;
  if (a.kind == NodeKind::kMap) {
    return std::all_of(a.children.begin(), a.children.end(), [&b](const Node* child) {
      const Node* other = find(b, child->key);
      return other != nullptr && same_tree(*child, *other);
    });
  }
  return std::equal(a.children.begin(), a.children.end(), b.children.begin(),
                    [](const Node* x, const Node* y) { return same_tree(*x, *y); });
}

bool is_plain_list(const Node& node) {
  return node.kind == NodeKind::kList && std::all_of(node.children.begin(), node.children.end(),
                                                     [](const Node* item) { return item->kind == NodeKind::kScalar; });
}

// As a person would write it, on one line.
std::string shown(const Node& node) {
  if (node.kind == NodeKind::kNull) return "null";
  if (node.kind == NodeKind::kScalar) {
    if (node.secret || node.type == ValueType::kNone) return std::string(kHidden);
    return node.text.empty() ? "\"\"" : node.text;
  }
  std::string text;
  for (const Node* child : node.children) {
    if (!text.empty()) text += ", ";
    if (node.kind == NodeKind::kMap) text += child->key + ": ";
    text += shown(*child);
  }
  return node.kind == NodeKind::kMap ? '{' + text + '}' : '[' + text + ']';
}

class Comparison {
 public:
  Comparison(const CheckedBlocks& before, const CheckedBlocks& after) : before_(before), after_(after) {}

  std::vector<Change> run(const Schema& schema, const Node& before, const Node& after) {
    compare_maps(&schema, nullptr, before, after, Reload::kLive);
    return std::move(changes_);
  }

 private:
  static const Node& resolve(const CheckedBlocks& blocks, const Node& node) {
    const auto found = blocks.find(&node);
    const Node* checked = found == blocks.end() ? nullptr : Access::node(found->second);
    return checked == nullptr ? node : *checked;
  }

  // `rule` describes the value; null inside a plugin's block, where what holds for the block holds for all of it.
  void compare(const OptionRule* rule, const Node& raw_before, const Node& raw_after, Reload reload) {
    const Node& before = resolve(before_, raw_before);
    const Node& after = resolve(after_, raw_after);
    const Schema* section = rule == nullptr ? nullptr : rule->section.get();
    const bool is_list_of_blocks = before.kind == NodeKind::kList && after.kind == NodeKind::kList &&
                                   !(is_plain_list(before) && is_plain_list(after));
    if (is_list_of_blocks) {
      compare_lists(section, rule == nullptr ? std::string_view() : rule->named_by, before, after, reload);
    } else if (before.kind == NodeKind::kMap && after.kind == NodeKind::kMap) {
      const bool is_map_of_many = rule != nullptr && rule->shape == Shape::kMap;
      compare_maps(is_map_of_many ? nullptr : section, is_map_of_many ? rule : nullptr, before, after, reload);
    } else if (!same_tree(before, after)) {
      note(Change::Kind::kChanged, reload, shown(before), shown(after));
    }
  }

  // Either the keys of `section`, or freely chosen ones of values that `each` describes, or those of a plugin.
  void compare_maps(const Schema* section, const OptionRule* each, const Node& before, const Node& after,
                    Reload reload) {
    for (const Node* child : after.children) {
      path_.push_back(child->key);
      const OptionRule* rule = section == nullptr ? nullptr : find_option(*section, child->key);
      const Reload own = class_of(section, rule, reload);
      if (const Node* other = find(before, child->key)) {
        compare_member(rule, each, *other, *child, own);
      } else {
        note(Change::Kind::kAdded, own, {}, shown(resolve(after_, *child)));
      }
      path_.pop_back();
    }
    for (const Node* child : before.children) {
      if (find(after, child->key) != nullptr) continue;
      path_.push_back(child->key);
      const OptionRule* rule = section == nullptr ? nullptr : find_option(*section, child->key);
      note(Change::Kind::kRemoved, class_of(section, rule, reload), shown(resolve(before_, *child)), {});
      path_.pop_back();
    }
  }

  void compare_member(const OptionRule* rule, const OptionRule* each, const Node& before, const Node& after,
                      Reload reload) {
    if (each == nullptr || each->section == nullptr) return compare(rule, before, after, reload);
    compare_maps(each->section.get(), nullptr, before, after, reload);
  }

  // A key of a block that its schema does not describe is a transport's.
  static Reload class_of(const Schema* section, const OptionRule* rule, Reload around) {
    if (section == nullptr) return around;
    if (rule == nullptr) return Reload::kListener;
    return rule->reload.value_or(around);
  }

  void compare_lists(const Schema* section, std::string_view named_by, const Node& before, const Node& after,
                     Reload reload) {
    const auto name_of = [named_by](const Node& list, const Node& item) {
      const Node* name = named_by.empty() ? nullptr : find(item, named_by);
      if (name != nullptr) return name->text;
      return std::to_string(std::find(list.children.begin(), list.children.end(), &item) - list.children.begin());
    };
    const auto find_named = [&name_of](const Node& list, const std::string& name) -> const Node* {
      const auto found = std::find_if(list.children.begin(), list.children.end(),
                                      [&](const Node* item) { return name_of(list, *item) == name; });
      return found == list.children.end() ? nullptr : *found;
    };
    for (const Node* item : after.children) {
      path_.push_back(name_of(after, *item));
      const Node* other = find_named(before, path_.back());
      if (other == nullptr) {
        note(Change::Kind::kAdded, reload, {}, {});
      } else {
        compare_items(section, *other, *item, reload);
      }
      path_.pop_back();
    }
    for (const Node* item : before.children) {
      path_.push_back(name_of(before, *item));
      if (find_named(after, path_.back()) == nullptr) note(Change::Kind::kRemoved, reload, {}, {});
      path_.pop_back();
    }
  }

  // A listener's entry is looked up as a whole: its transport's schema has checked all of it.
  void compare_items(const Schema* section, const Node& raw_before, const Node& raw_after, Reload reload) {
    const Node& before = resolve(before_, raw_before);
    const Node& after = resolve(after_, raw_after);
    if (before.kind == NodeKind::kMap && after.kind == NodeKind::kMap) {
      compare_maps(section, nullptr, before, after, reload);
    } else {
      compare(nullptr, before, after, reload);
    }
  }

  void note(Change::Kind kind, Reload reload, std::string from, std::string to) {
    changes_.push_back({kind, reload, path_, std::move(from), std::move(to)});
  }

  const CheckedBlocks& before_;
  const CheckedBlocks& after_;
  std::vector<std::string> path_;
  std::vector<Change> changes_;
};

}  // namespace

std::string Change::key() const {
  std::string key;
  for (const std::string& part : path) key += (key.empty() ? "" : ".") + part;
  return key;
}

std::string Change::text() const {
  std::string text = key();
  switch (kind) {
    case Kind::kChanged:
      text += " changed from " + from + " to " + to;
      break;
    case Kind::kAdded:
      text += " added" + (to.empty() ? "" : ": " + to);
      break;
    case Kind::kRemoved:
      text += " removed";
      break;
  }
  return reload == Reload::kRestart ? text + ": takes effect at the next start" : text;
}

std::vector<Change> differences(const Schema& schema, const Checked& before, const Checked& after) {
  return Comparison(before.blocks, after.blocks).run(schema, *Access::node(before.root), *Access::node(after.root));
}

bool means_the_same(const ConfigNode& a, const ConfigNode& b) noexcept {
  const Node* x = Access::node(a);
  const Node* y = Access::node(b);
  return x == nullptr || y == nullptr ? x == y : same_tree(*x, *y);
}

}  // namespace mqloop::config
