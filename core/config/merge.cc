#include "core/config/merge.h"

#include <charconv>
#include <filesystem>
#include <string>
#include <vector>

#include "core/config/schema.h"
#include "core/config/suggest.h"
#include "core/config/units.h"
#include "core/config/yaml_reader.h"

namespace mqloop::config {
namespace {

std::string line_of(const Position& position) {
  return position.source == nullptr ? std::string() : position.source->name + ":" + std::to_string(position.line);
}

// Where `--set` stands in the schema while it descends; `rule` is what describes the node, if anything does.
struct Place {
  Node* node;
  const OptionRule* rule;  // of the key that led here
  const Schema* schema;    // of the block that `node` is, or nullptr
  std::string named_by;    // of the list that `node` is
};

class Override {
 public:
  Override(Document& document, Errors& errors, const Source* source)
      : document_(document), errors_(errors), position_{source, 0, 0} {}

  void apply(std::string_view path, std::string_view value, const Schema& schema) {
    Place place{document_.root_node(), nullptr, &schema, {}};
    std::string_view rest = path;
    while (true) {
      const std::size_t dot = rest.find('.');
      const std::string_view step = rest.substr(0, dot);
      if (step.empty()) return fail(path, "an empty name between two dots");
      const bool entered = place.node->kind == NodeKind::kList ? enter_item(place, step, path) : enter_key(place, step);
      if (!entered) return;
      if (dot == std::string_view::npos) break;
      rest.remove_prefix(dot + 1);
    }
    assign(*place.node, value);
  }

  void fail(std::string_view path, const std::string& message) {
    errors_.add(position_, in_quotes(path) + ": " + message);
  }

 private:
  bool enter_key(Place& place, std::string_view step) {
    Node& map = *place.node;
    if (map.kind != NodeKind::kMap) {
      map.kind = NodeKind::kMap;
      map.text.clear();
      map.children.clear();
      map.position = position_;
    }
    // In a map from free names to blocks a step names the block, which has the map's own rule.
    const bool free_name = place.rule != nullptr && place.rule->shape == Shape::kMap && place.schema == nullptr;
    const OptionRule* rule = free_name                 ? place.rule
                             : place.schema == nullptr ? nullptr
                                                       : find_option(*place.schema, step);
    Node* child = find(map, step);
    if (child == nullptr) {
      child = document_.make(NodeKind::kNull, position_);
      child->key = step;
      child->key_position = position_;
      map.children.push_back(child);
      if (!free_name && rule != nullptr && rule->shape == Shape::kList) give_default(*child, *rule);
    }
    const bool block = rule != nullptr && rule->section && (free_name || rule->shape == Shape::kOne);
    place = {child, rule, block ? rule->section.get() : nullptr,
             rule != nullptr && rule->shape == Shape::kList ? rule->named_by : std::string()};
    return true;
  }

  bool enter_item(Place& place, std::string_view step, std::string_view path) {
    const Schema* schema = place.rule != nullptr && place.rule->section ? place.rule->section.get() : nullptr;
    std::vector<std::string> names;
    for (Node* item : place.node->children) {
      const Node* name = place.named_by.empty() ? nullptr : find(*item, place.named_by);
      if (name == nullptr) continue;
      if (name->text == step) {
        place = {item, nullptr, schema, {}};
        return true;
      }
      names.push_back(name->text);
    }
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (error == std::errc() && end == step.data() + step.size() && index < place.node->children.size()) {
      place = {place.node->children[index], nullptr, schema, {}};
      return true;
    }
    std::string message = "nothing here is named " + in_quotes(step);
    if (const std::string_view near = nearest(step, names); !near.empty()) {
      message += "; did you mean " + in_quotes(near) + "?";
    } else if (!names.empty()) {
      message += "; there is " + joined(names);
    }
    fail(path, message);
    return false;
  }

  void give_default(Node& list, const OptionRule& rule) {
    if (!rule.default_text) return;
    const Node* made = read_yaml(document_, position_.source, *rule.default_text, errors_);
    if (made == nullptr || made->kind != NodeKind::kList) return;
    list.kind = NodeKind::kList;
    list.children = made->children;
    place_at(list);
  }

  void assign(Node& node, std::string_view value) {
    node.children.clear();
    node.text.clear();
    node.position = position_;
    if (!value.starts_with('[') && !value.starts_with('{')) {
      node.kind = NodeKind::kScalar;
      node.text = value;
      return;
    }
    const Node* made = read_yaml(document_, position_.source, value, errors_);
    if (made == nullptr) return;
    node.kind = made->kind;
    node.children = made->children;
    place_at(node);
  }

  // What came from the command line has no line of its own.
  void place_at(Node& node) {
    node.position = position_;
    for (Node* child : node.children) {
      child->key_position = position_;
      place_at(*child);
    }
  }

  Document& document_;
  Errors& errors_;
  Position position_;
};

}  // namespace

void merge(Node& into, Node& from, std::string_view path, Errors& errors) {
  if (from.kind == NodeKind::kNull) return;
  if (into.kind == NodeKind::kNull) {
    into.kind = from.kind;
    into.text = from.text;
    into.position = from.position;
    into.children = from.children;
    return;
  }
  if (into.kind == NodeKind::kMap && from.kind == NodeKind::kMap) {
    for (Node* child : from.children) {
      Node* mine = find(into, child->key);
      if (mine == nullptr) {
        into.children.push_back(child);
      } else {
        merge(*mine, *child, path.empty() ? child->key : std::string(path) + "." + child->key, errors);
      }
    }
    return;
  }
  if (into.kind == NodeKind::kList && from.kind == NodeKind::kList) {
    into.children.insert(into.children.end(), from.children.begin(), from.children.end());
    return;
  }
  errors.add(from.key_position, in_quotes(path) + " is already set at " + line_of(into.key_position));
}

void override_value(Document& document, std::string_view assignment, const Schema& schema, Errors& errors) {
  const std::string folder = std::filesystem::current_path().string();
  Override change(document, errors, document.source("--set", folder));
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return change.fail(assignment, "write --set KEY=VALUE, e.g. --set limits.max_qos=1");
  }
  change.apply(assignment.substr(0, equals), assignment.substr(equals + 1), schema);
}

}  // namespace mqloop::config
