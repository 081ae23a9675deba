#include <mqloop/config.h>

#include "core/config/document.h"
#include "core/config/units.h"

namespace mqloop {

using config::Node;
using config::NodeKind;
using config::ValueType;

ConfigNode ConfigNode::operator[](std::string_view key) const noexcept {
  if (node_ == nullptr) return {nullptr, parent_};
  return {config::find(*node_, key), node_};
}

ConfigNode ConfigNode::at(std::size_t index) const noexcept {
  if (node_ == nullptr) return {nullptr, parent_};
  return {index < node_->children.size() ? node_->children[index] : nullptr, node_};
}

std::size_t ConfigNode::size() const noexcept { return node_ == nullptr ? 0 : node_->children.size(); }

std::string_view ConfigNode::key() const noexcept {
  return node_ == nullptr ? std::string_view() : std::string_view(node_->key);
}

bool ConfigNode::is_scalar() const noexcept { return node_ != nullptr && node_->kind == NodeKind::kScalar; }
bool ConfigNode::is_list() const noexcept { return node_ != nullptr && node_->kind == NodeKind::kList; }
bool ConfigNode::is_map() const noexcept { return node_ != nullptr && node_->kind == NodeKind::kMap; }
bool ConfigNode::is_default() const noexcept { return node_ != nullptr && node_->is_default; }

std::string_view ConfigNode::text() const noexcept {
  return is_scalar() ? std::string_view(node_->text) : std::string_view();
}

namespace {

std::int64_t integer_of(const Node* node, ValueType type) {
  return node != nullptr && node->type == type ? node->integer : 0;
}

double number_of(const Node* node, ValueType type) { return node != nullptr && node->type == type ? node->number : 0; }

}  // namespace

bool ConfigNode::as_bool() const noexcept { return integer_of(node_, ValueType::kBoolean) != 0; }

std::int64_t ConfigNode::as_int() const noexcept { return integer_of(node_, ValueType::kInteger); }

std::uint64_t ConfigNode::as_uint() const noexcept {
  const std::int64_t number = as_int();
  return number < 0 ? 0 : static_cast<std::uint64_t>(number);
}

double ConfigNode::as_double() const noexcept { return number_of(node_, ValueType::kNumber); }

std::chrono::milliseconds ConfigNode::as_duration() const noexcept {
  return std::chrono::milliseconds(integer_of(node_, ValueType::kDuration));
}

std::uint64_t ConfigNode::as_size() const noexcept {
  return static_cast<std::uint64_t>(integer_of(node_, ValueType::kSize));
}

double ConfigNode::as_rate() const noexcept { return number_of(node_, ValueType::kRate); }

Endpoint ConfigNode::as_endpoint() const {
  std::string complaint;
  return config::parse_endpoint(text(), complaint).value_or(Endpoint{});
}

std::vector<std::string> ConfigNode::as_list() const {
  std::vector<std::string> texts;
  if (!is_list()) return texts;
  texts.reserve(size());
  for (const ConfigNode item : *this) texts.push_back(item.as_string());
  return texts;
}

std::map<std::string, std::string, std::less<>> ConfigNode::as_map() const {
  std::map<std::string, std::string, std::less<>> texts;
  if (!is_map()) return texts;
  for (const ConfigNode item : *this) texts.emplace(item.key(), item.text());
  return texts;
}

std::string ConfigNode::position() const {
  const Node* node = config::Access::node_or_parent(*this);
  return node == nullptr ? std::string() : node->position.text();
}

Status ConfigNode::error(std::string_view message) const {
  std::string text = position();
  if (!text.empty()) text += ": ";
  text += message;
  return invalid_argument(text);
}

}  // namespace mqloop
