#include "core/config/check.h"

#include <string>
#include <utility>
#include <vector>

#include "core/config/expand.h"
#include "core/config/schema.h"
#include "core/config/suggest.h"
#include "core/config/units.h"
#include "core/config/value.h"
#include "core/config/yaml_reader.h"

namespace mqloop::config {
namespace {

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : std::string(path) + "." + std::string(key);
}

// The names of all options of `schema`, with the blocks that lead to them: `limits.max_qos`.
void collect_paths(const Schema& schema, const std::string& prefix, std::vector<std::string>& names,
                   std::vector<std::string>& paths) {
  for (const auto& option : Access::rules(schema).options) {
    const OptionRule& rule = Access::rule(*option);
    names.push_back(rule.name);
    paths.push_back(join_path(prefix, rule.name));
    if (rule.type != OptionType::kSection) continue;
    const char* many = rule.shape == Shape::kOne ? "" : rule.shape == Shape::kList ? "[]" : ".NAME";
    collect_paths(*rule.section, paths.back() + many, names, paths);
  }
}

class Checker {
 public:
  Checker(const Schema& schema, Errors& errors, const CheckOptions& options)
      : top_(schema), errors_(errors), options_(options) {}

  Document run(const ConfigNode& handle) {
    const Node* node = Access::node(handle);
    const Node* around = Access::node_or_parent(handle);
    const Position place = around == nullptr ? Position{} : around->position;
    Node* root = check_block(top_, node, place, std::string(options_.path));
    if (node != nullptr) root->key = node->key;
    document_.set_root(root);
    return std::move(document_);
  }

 private:
  Node* make(NodeKind kind, const Position& place) {
    Node* node = document_.make(kind, document_.adopt(defaults_at_ != nullptr ? *defaults_at_ : place));
    node->is_default = defaults_at_ != nullptr;
    return node;
  }

  // In the place of `in`, which a check before this one may have filled in as a default.
  Node* make(NodeKind kind, const Node& in) {
    Node* node = make(kind, in.position);
    node->is_default = node->is_default || in.is_default;
    return node;
  }

  // Unchecked, with all that is below.
  Node* copy(const Node& in) {
    Node* node = document_.copy(in);
    if (defaults_at_ != nullptr) mark_default(*node, document_.adopt(*defaults_at_));
    return node;
  }

  static void mark_default(Node& node, const Position& place) {
    node.is_default = true;
    node.position = place;
    for (Node* child : node.children) mark_default(*child, place);
  }

  void complain(const Node& node, std::string_view path, std::string_view message) {
    errors_.add(defaults_at_ != nullptr ? *defaults_at_ : node.position,
                path.empty() ? std::string(message) : std::string(path) + ": " + std::string(message));
  }

  // ---- blocks ----

  // A block that nobody wrote (`in` missing or null) consists of defaults; nullptr when it then lacks a required key,
  // which is a mistake in the topmost block alone.
  Node* check_block(const Schema& schema, const Node* in, const Position& place, const std::string& path) {
    const bool written = in != nullptr && in->kind != NodeKind::kNull;
    if (written && in->kind != NodeKind::kMap) {
      complain(*in, path, "must be a map: key: value");
      return make(NodeKind::kMap, place);
    }
    Node* block = make(NodeKind::kMap, place);
    block->is_default = !written || in->is_default || defaults_at_ != nullptr;
    if (written) keep_or_refuse_unknown(schema, *in, *block, path);
    for (const auto& option : Access::rules(schema).options) {
      const OptionRule& rule = Access::rule(*option);
      const Node* child = written ? find(*in, rule.name) : nullptr;
      Node* made = nullptr;
      if (child != nullptr) {
        made = check_option(rule, *child, join_path(path, rule.name));
        made->key_position = document_.adopt(child->key_position);
      } else if (!rule.required) {
        if (Access::rules(schema).sparse) continue;
        made = check_default(rule, place, join_path(path, rule.name));
        if (made == nullptr) continue;
      } else if (written || &schema == &top_) {
        errors_.add(written ? in->position : place, join_path(path, rule.name) + " is missing");
        continue;
      } else {
        return nullptr;
      }
      made->key = rule.name;
      block->children.push_back(made);
    }
    return block;
  }

  void keep_or_refuse_unknown(const Schema& schema, const Node& in, Node& block, const std::string& path) {
    for (const Node* child : in.children) {
      if (find_option(schema, child->key) != nullptr) continue;
      const bool checked_before =
          options_.checked_before != nullptr && &schema == &top_ && find_option(*options_.checked_before, child->key);
      if (checked_before || Access::rules(schema).open) {
        block.children.push_back(copy(*child));
      } else {
        refuse_unknown(schema, *child, path);
      }
    }
  }

  void refuse_unknown(const Schema& schema, const Node& child, const std::string& path) {
    std::string message = path.empty() ? "" : path + ": ";
    message += "unknown key " + in_quotes(child.key);
    std::vector<std::string> names;
    std::vector<std::string> paths;
    for (const auto& option : Access::rules(schema).options) names.push_back(Access::rule(*option).name);
    if (options_.checked_before != nullptr && &schema == &top_) {
      for (const auto& option : Access::rules(*options_.checked_before).options) {
        names.push_back(Access::rule(*option).name);
      }
    }
    std::string near(nearest(child.key, names));
    if (near.empty()) {
      names.clear();
      collect_paths(top_, std::string(options_.path), names, paths);
      const std::string_view name = nearest(child.key, names);
      for (std::size_t i = 0; i < names.size() && near.empty() && !name.empty(); ++i) {
        if (names[i] == name) near = paths[i];
      }
    }
    if (!near.empty()) message += "; did you mean " + in_quotes(near) + "?";
    errors_.add(child.key_position, message);
  }

  // ---- options ----

  Node* check_option(const OptionRule& rule, const Node& in, const std::string& path) {
    switch (rule.shape) {
      case Shape::kOne:
        return check_one(rule, in, path);
      case Shape::kList:
        return check_list(rule, in, path);
      case Shape::kMap:
        return check_map(rule, in, path);
    }
    return nullptr;
  }

  Node* check_list(const OptionRule& rule, const Node& in, const std::string& path) {
    Node* list = make(NodeKind::kList, in);
    if (in.kind == NodeKind::kScalar && !rule.section) {
      complain(in, path, "must be a list: write [" + in.text + "]");
      return list;
    }
    if (in.kind == NodeKind::kScalar || in.kind == NodeKind::kMap) {
      complain(in, path, "must be a list");
      return list;
    }
    if (rule.not_empty && in.children.empty()) complain(in, path, "must not be empty");
    for (std::size_t i = 0; i < in.children.size(); ++i) {
      const Node& item = *in.children[i];
      const Node* name = rule.named_by.empty() ? nullptr : find(item, rule.named_by);
      const bool named = name != nullptr && name->kind == NodeKind::kScalar && !name->text.empty();
      const std::string item_path = join_path(path, named ? name->text : std::to_string(i));
      if (named) refuse_same_name(rule, in, i, *name, path);
      list->children.push_back(check_one(rule, item, item_path));
    }
    return list;
  }

  void refuse_same_name(const OptionRule& rule, const Node& list, std::size_t index, const Node& name,
                        const std::string& path) {
    for (std::size_t i = 0; i < index; ++i) {
      const Node* other = find(*list.children[i], rule.named_by);
      if (other == nullptr || other->kind != NodeKind::kScalar || other->text != name.text) continue;
      const Position& first = other->position;
      const bool same_file = first.source == name.position.source && first.line != 0;
      const std::string where = same_file ? "at line " + std::to_string(first.line) : "at " + first.text();
      complain(name, path, "the name " + in_quotes(name.text) + " is already used " + where);
      return;
    }
  }

  Node* check_map(const OptionRule& rule, const Node& in, const std::string& path) {
    Node* map = make(NodeKind::kMap, in);
    if (in.kind == NodeKind::kScalar || in.kind == NodeKind::kList) {
      complain(in, path, "must be a map: name: value");
      return map;
    }
    if (rule.not_empty && in.children.empty()) complain(in, path, "must not be empty");
    for (const Node* child : in.children) {
      Node* made = check_one(rule, *child, join_path(path, child->key));
      made->key = child->key;
      made->key_position = document_.adopt(child->key_position);
      map->children.push_back(made);
    }
    return map;
  }

  // Never nullptr: after a mistake, an empty node stands in.
  Node* check_one(const OptionRule& rule, const Node& in, const std::string& path) {
    if (rule.type == OptionType::kAnything && !rule.section) {
      return copy(in);
    }
    if (rule.type == OptionType::kSection) {
      // A block of a list or a map counts as written, even when it says nothing: it was given a place or a name.
      Node empty;
      empty.kind = NodeKind::kMap;
      empty.position = in.position;
      const bool counts = in.kind == NodeKind::kNull && rule.shape != Shape::kOne;
      Node* block = check_block(*rule.section, counts ? &empty : &in, in.position, path);
      return block != nullptr ? block : make(NodeKind::kMap, in.position);
    }
    if (in.kind == NodeKind::kMap && rule.section) return check_block(*rule.section, &in, in.position, path);
    if (in.kind == NodeKind::kMap && rule.type == OptionType::kSecret) return check_secret_file(in, path);
    if (in.kind == NodeKind::kScalar) return check_scalar(rule, in, path);
    if (in.kind == NodeKind::kNull) {
      complain(in, path, "has no value; leave the key out for its default, or write \"\" for an empty text");
    } else {
      complain(in, path,
               in.kind == NodeKind::kMap ? "must be a single value, not a map" : "must be a single value, not a list");
    }
    return make(NodeKind::kScalar, in);
  }

  Node* check_scalar(const OptionRule& rule, const Node& in, const std::string& path) {
    Node* node = make(NodeKind::kScalar, in);
    node->text = in.text;
    std::string complaint;
    if (!set_value(*node, rule, complaint)) complain(in, path, complaint);
    if (rule.type == OptionType::kPath && node->type == ValueType::kText && !in.text.empty()) {
      node->written = in.text;
      node->text = absolute_path(in.text, folder_of(defaults_at_ != nullptr ? *defaults_at_ : in.position));
    }
    node->secret = rule.type == OptionType::kSecret;
    return node;
  }

  // Where a relative path that stands there starts.
  [[nodiscard]] std::string_view folder_of(const Position& position) const {
    if (!options_.folder.empty()) return options_.folder;
    return position.source == nullptr ? std::string_view() : std::string_view(position.source->folder);
  }

  // {file: path}
  Node* check_secret_file(const Node& in, const std::string& path) {
    Node* node = make(NodeKind::kScalar, in);
    node->type = ValueType::kText;
    node->secret = true;
    const Node* file = find(in, "file");
    if (file == nullptr || file->kind != NodeKind::kScalar || in.children.size() != 1) {
      complain(in, path, "a secret is a text or {file: PATH}");
      return node;
    }
    node->written = "{file: " + file->text + "}";
    const Source* source = in.position.source;
    const std::string absolute =
        absolute_path(file->text, source == nullptr ? std::string_view() : std::string_view(source->folder));
    std::string complaint;
    if (!read_secret(absolute, node->text, complaint)) {
      errors_.add(file->position, path + ": " + complaint, ErrorKind::kFile);
    } else if (!complaint.empty()) {
      errors_.warn(file->position, path + ": " + complaint);
    }
    return node;
  }

  // ---- defaults ----

  // What stands where nobody wrote anything; nullptr for a block that is missing altogether.
  Node* check_default(const OptionRule& rule, const Position& place, const std::string& path) {
    const Position* before = std::exchange(defaults_at_, defaults_at_ != nullptr ? defaults_at_ : &place);
    Node* node = make_default(rule, path);
    defaults_at_ = before;
    return node;
  }

  Node* make_default(const OptionRule& rule, const std::string& path) {
    if (rule.type == OptionType::kSection && rule.shape == Shape::kOne) {
      return check_block(*rule.section, nullptr, *defaults_at_, path);
    }
    Node raw;
    if (rule.shape != Shape::kOne || rule.type == OptionType::kAnything) {
      raw.kind = rule.shape == Shape::kList ? NodeKind::kList : NodeKind::kMap;
      return rule.default_text ? check_yaml_default(rule, path) : check_option(rule, raw, path);
    }
    raw.kind = NodeKind::kScalar;
    std::string complaint;
    if (!rule.default_text) {
      raw.text = zero_text(rule);
    } else if (!expand(*rule.default_text, options_.environment, raw.text, complaint)) {
      complain(raw, path, complaint);
    }
    return check_option(rule, raw, path);
  }

  Node* check_yaml_default(const OptionRule& rule, const std::string& path) {
    Document scratch;
    Errors mistakes;
    const Node* raw = read_yaml(scratch, scratch.source("default", ""), *rule.default_text, mistakes);
    if (raw != nullptr && mistakes.empty()) return check_option(rule, *raw, path);
    Node none;
    complain(none, path, "the schema's own default " + in_quotes(*rule.default_text) + " is not YAML");
    return make(NodeKind::kNull, Position{});
  }

  const Schema& top_;
  Errors& errors_;
  const CheckOptions& options_;
  Document document_;
  const Position* defaults_at_ = nullptr;  // set while defaults are filled in: where they count as standing
};

}  // namespace

Document check(const Schema& schema, const ConfigNode& node, Errors& errors, const CheckOptions& options) {
  return Checker(schema, errors, options).run(node);
}

}  // namespace mqloop::config
