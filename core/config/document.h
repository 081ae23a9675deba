// The tree behind ConfigNode. A Document owns its nodes and the names of the files they came from; moving it moves no
// node, so a ConfigNode stays valid as long as the Document lives, wherever that is. Built by the reader (raw: scalars
// are text) or by check() (checked: scalars carry a value, defaults are filled in), and never changed afterwards.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>

namespace mqloop::config {

// A file, or the command line's `--set a.b=c`.
struct Source {
  std::string name;    // as messages show it
  std::string folder;  // absolute; where relative paths start
};

struct Position {
  const Source* source = nullptr;
  std::uint32_t line = 0;  // from 1; 0 = the source has no lines
  std::uint32_t column = 0;

  // `mqloop.yaml:4:1`; empty without a source.
  [[nodiscard]] std::string text() const;
};

enum class NodeKind : std::uint8_t { kNull, kScalar, kList, kMap };

// What the schema made of a scalar; kNone until it was checked.
enum class ValueType : std::uint8_t { kNone, kBoolean, kInteger, kNumber, kText, kDuration, kSize, kRate, kWord };

struct Node {
  NodeKind kind = NodeKind::kNull;
  ValueType type = ValueType::kNone;
  bool is_default = false;
  bool secret = false;
  std::int64_t integer = 0;  // kBoolean, kInteger, kDuration (ms), kSize
  double number = 0;         // kNumber, kRate (a second)
  std::string text;          // a scalar
  std::string written;       // a checked scalar as it stood in the file where `text` differs: path, secret
  std::string key;           // in a map
  Position position;         // of the value
  Position key_position;
  std::vector<Node*> children;
};

class MQLOOP_API Document {
 public:
  Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  [[nodiscard]] ConfigNode root() const noexcept;
  [[nodiscard]] Node* root_node() const noexcept { return root_; }
  void set_root(Node* root) noexcept { root_ = root; }

  Node* make(NodeKind kind, Position position);
  // The same source for the same name.
  const Source* source(std::string_view name, std::string_view folder);
  // `position`, with its source copied into this document.
  Position adopt(const Position& position);
  // A deep copy into this document.
  Node* copy(const Node& node);
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  struct Storage;
  std::unique_ptr<Storage> storage_;
  Node* root_ = nullptr;
};

// The child of a map with this key, or nullptr.
[[nodiscard]] Node* find(const Node& map, std::string_view key) noexcept;

// The door between the public handles and what is behind them.
struct Access {
  static ConfigNode handle(const Node* node, const Node* parent = nullptr) noexcept { return {node, parent}; }
  static const Node* node(const ConfigNode& handle) noexcept { return handle.node_; }
  static const Node* node_or_parent(const ConfigNode& handle) noexcept {
    return handle.node_ != nullptr ? handle.node_ : handle.parent_;
  }
  static const SchemaRules& rules(const Schema& schema) noexcept { return *schema.rules_; }
  static SchemaRules& rules(Schema& schema) noexcept { return *schema.rules_; }
  static const OptionRule& rule(const Option& option) noexcept { return *option.rule_; }
  static OptionRule& rule(Option& option) noexcept { return *option.rule_; }
};

}  // namespace mqloop::config
