#include "core/config/print.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/config/check.h"
#include "core/config/errors.h"
#include "core/config/schema.h"

namespace mqloop::config {
namespace {

constexpr std::size_t kCommentColumn = 44;

// Whether a text can stand without quotes and is read back as the same scalar.
bool is_plain(std::string_view text) {
  constexpr std::string_view kHarmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:";
  if (text.empty() || text.find_first_not_of(kHarmless) != std::string_view::npos) return false;
  if (text.ends_with(':') || text.starts_with(':') || text.starts_with('-')) return false;
  return text != "null" && text != "Null" && text != "NULL";
}

std::string scalar(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xFU];
    } else if (text.substr(i).starts_with("${")) {
      out += "$$";
    } else {
      out += text[i];
    }
  }
  out += '"';
  return out;
}

// Lines with comments at one column.
class Lines {
 public:
  void add(std::string line, std::string_view comment) {
    if (!comment.empty()) {
      line.resize(std::max(line.size() + 1, kCommentColumn), ' ');
      line += "# ";
      line += comment;
    }
    text_ += line;
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string key_text(const Node& node) { return scalar(node.key) + ":"; }

// ---- what is in force ----

class EffectivePrinter {
 public:
  explicit EffectivePrinter(const CheckedBlocks& blocks) : blocks_(blocks) {}

  std::string run(const Node& root) {
    for (const Node* child : root.children) print(*child, "", "", key_text(*child));
    return lines_.take();
  }

 private:
  static std::string origin(const Node& node) {
    if (node.is_default || node.position.source == nullptr) return "default";
    const Position& place = node.position;
    return place.line == 0 ? place.source->name : place.source->name + ":" + std::to_string(place.line);
  }

  static std::string value_of(const Node& node) {
    if (node.kind == NodeKind::kNull) return "null";
    if (node.secret) return node.written.empty() ? "\"***\"" : node.written;
    if (node.type == ValueType::kNone) return "\"***\"";
    return scalar(node.text);
  }

  const Node& resolve(const Node& node) const {
    const auto found = blocks_.find(&node);
    const Node* checked = found == blocks_.end() ? nullptr : Access::node(found->second);
    return checked == nullptr ? node : *checked;
  }

  // `head` is the key or the dash that the value stands behind, `begin` what the line of it begins with; further lines
  // of the value stand deeper than `indent`.
  void print(const Node& raw, const std::string& begin, const std::string& indent, const std::string& head) {
    const Node& node = resolve(raw);
    if (node.kind == NodeKind::kScalar || node.kind == NodeKind::kNull) {
      lines_.add(begin + head + " " + value_of(node), origin(node));
    } else if (node.children.empty()) {
      lines_.add(begin + head + (node.kind == NodeKind::kList ? " []" : " {}"), origin(node));
    } else if (is_flat_list(node)) {
      std::string items;
      for (const Node* item : node.children) items += (items.empty() ? "" : ", ") + value_of(*item);
      lines_.add(begin + head + " [" + items + "]", origin(node));
    } else if (node.kind == NodeKind::kMap && head == "-") {
      print_item(node, indent);
    } else {
      lines_.add(begin + head, {});
      const std::string deeper = indent + "  ";
      for (const Node* child : node.children) {
        print(*child, deeper, deeper, node.kind == NodeKind::kMap ? key_text(*child) : "-");
      }
    }
  }

  // A map in a list: its first key stands behind the dash.
  void print_item(const Node& node, const std::string& indent) {
    const std::string deeper = indent + "  ";
    bool first = true;
    for (const Node* child : node.children) {
      print(*child, std::exchange(first, false) ? indent + "- " : deeper, deeper, key_text(*child));
    }
  }

  static bool is_flat_list(const Node& node) {
    return node.kind == NodeKind::kList &&
           std::all_of(node.children.begin(), node.children.end(),
                       [](const Node* item) { return item->kind == NodeKind::kScalar; });
  }

  const CheckedBlocks& blocks_;
  Lines lines_;
};

// ---- what would be in force ----

class DefaultPrinter {
 public:
  // `tree` is the schema's defaults, checked.
  std::string run(const Schema& schema, const Node& tree) {
    print_block(schema, &tree, "", "");
    return lines_.take();
  }

 private:
  // `first` stands in front of the first line instead of `indent`: the dash of a list item.
  void print_block(const Schema& schema, const Node* tree, const std::string& indent, const std::string& first) {
    bool at_first = !first.empty();
    for (const auto& option : Access::rules(schema).options) {
      const OptionRule& rule = Access::rule(*option);
      print_option(rule, tree == nullptr ? nullptr : find(*tree, rule.name), at_first ? first : indent, indent);
      at_first = false;
    }
    if (tree == nullptr) return;
    for (const Node* child : tree->children) {  // a transport's own keys
      if (find_option(schema, child->key) == nullptr)
        lines_.add(indent + key_text(*child) + " " + scalar(child->text), "");
    }
  }

  void print_option(const OptionRule& rule, const Node* node, const std::string& head, const std::string& indent) {
    const std::string key = head + rule.name + ":";
    if (rule.type != OptionType::kSection) {
      lines_.add(key + " " + default_of(rule, node), help_of(rule));
    } else if (Access::rules(*rule.section).sparse) {
      lines_.add(key + " {}", rule.help);
    } else if (rule.shape == Shape::kOne) {
      lines_.add(key, rule.help);
      print_block(*rule.section, node, deeper(indent, "  "), "");
    } else {
      print_blocks(rule, node, key, indent);
    }
  }

  void print_blocks(const OptionRule& rule, const Node* node, const std::string& key, const std::string& indent) {
    const bool list = rule.shape == Shape::kList;
    const bool none = node == nullptr || node->children.empty();
    lines_.add(key + (none ? list ? " []" : " {}" : ""), rule.help);
    if (none) {
      const std::string hidden = deeper(indent, "  # ");
      if (!list) lines_.add(hidden + "NAME:", "");
      print_block(*rule.section, nullptr, hidden + "  ", list ? hidden + "- " : "");
      return;
    }
    for (const Node* item : node->children) {
      const std::string inner = deeper(indent, "  ");
      if (!list) lines_.add(inner + key_text(*item), "");
      print_block(*rule.section, item, inner + "  ", list ? inner + "- " : "");
    }
  }

  // Of an enumeration, its words first.
  static std::string help_of(const OptionRule& rule) {
    if (rule.type != OptionType::kEnumeration || rule.shape != Shape::kOne || rule.section) return rule.help;
    std::string words;
    for (const std::string& word : rule.words) words += (words.empty() ? "" : " | ") + word;
    return words + ": " + rule.help;
  }

  static std::string deeper(const std::string& indent, const char* by) { return indent + by; }

  // `node` is what the defaults of the block around it make of this option, if that block is there by default.
  static std::string default_of(const OptionRule& rule, const Node* node) {
    if (rule.required && node == nullptr) return rule.name == "version" ? rule.most->text : "NAME";
    if (rule.shape != Shape::kOne || rule.type == OptionType::kAnything) {
      return rule.default_text.value_or(rule.shape == Shape::kList ? "[]" : "{}");
    }
    if (rule.default_text && rule.default_text->find("${") != std::string::npos)
      return "\"" + *rule.default_text + "\"";
    if (rule.required) return scalar(node->text);
    return scalar(rule.default_text ? std::string_view(*rule.default_text) : zero_text(rule));
  }

  Lines lines_;
};

}  // namespace

std::string print_effective(const ConfigNode& root, const CheckedBlocks& blocks) {
  const Node* node = Access::node(root);
  return node == nullptr ? std::string() : EffectivePrinter(blocks).run(*node);
}

std::string print_default(const Schema& schema) {
  Document nothing;
  Node* root = nothing.make(NodeKind::kMap, {});
  nothing.set_root(root);
  Errors ignored;  // what is required and has no default
  const Document defaults = check(schema, nothing.root(), ignored);
  return DefaultPrinter().run(schema, *defaults.root_node());
}

}  // namespace mqloop::config
