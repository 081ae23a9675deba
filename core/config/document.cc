#include "core/config/document.h"

#include <deque>
#include <utility>

namespace mqloop::config {

std::string Position::text() const {
  if (source == nullptr) return {};
  std::string out = source->name;
  if (line != 0) {
    out += ':';
    out += std::to_string(line);
    out += ':';
    out += std::to_string(column);
  }
  return out;
}

// Deques: what they hold never moves.
struct Document::Storage {
  std::deque<Node> nodes;
  std::deque<Source> sources;
};

Document::Document() = default;
Document::Document(Document&& other) noexcept
    : storage_(std::move(other.storage_)), root_(std::exchange(other.root_, nullptr)) {}
Document& Document::operator=(Document&& other) noexcept {
  storage_ = std::move(other.storage_);
  root_ = std::exchange(other.root_, nullptr);
  return *this;
}
Document::~Document() = default;

ConfigNode Document::root() const noexcept { return Access::handle(root_); }

Node* Document::make(NodeKind kind, Position position) {
  if (!storage_) storage_ = std::make_unique<Storage>();
  Node& node = storage_->nodes.emplace_back();
  node.kind = kind;
  node.position = position;
  return &node;
}

const Source* Document::source(std::string_view name, std::string_view folder) {
  if (!storage_) storage_ = std::make_unique<Storage>();
  for (const Source& source : storage_->sources) {
    if (source.name == name && source.folder == folder) return &source;
  }
  return &storage_->sources.emplace_back(Source{std::string(name), std::string(folder)});
}

Position Document::adopt(const Position& position) {
  if (position.source == nullptr) return {};
  return {source(position.source->name, position.source->folder), position.line, position.column};
}

Node* Document::copy(const Node& node) {
  Node* made = make(node.kind, {});
  *made = node;
  made->position = adopt(node.position);
  made->key_position = adopt(node.key_position);
  for (Node*& child : made->children) child = copy(*child);
  return made;
}

std::size_t Document::size() const noexcept { return storage_ ? storage_->nodes.size() : 0; }

Node* find(const Node& map, std::string_view key) noexcept {
  if (map.kind != NodeKind::kMap) return nullptr;
  for (Node* child : map.children) {
    if (child->key == key) return child;
  }
  return nullptr;
}

}  // namespace mqloop::config
