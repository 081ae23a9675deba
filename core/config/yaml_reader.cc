#include "core/config/yaml_reader.h"

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "core/config/units.h"
#include "core/config/yaml_mistake.h"

namespace mqloop::config {
namespace {

// Reading cannot go on; the mistake has been added. Thrown through yaml-cpp, caught in read_yaml().
struct Stop {};

std::size_t at_least_zero(int number) { return number < 0 ? 0 : static_cast<std::size_t>(number); }

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(Document& document, const Source* source, const Lines& lines, Errors& errors)
      : document_(document), source_(source), lines_(lines), errors_(errors) {}

  [[nodiscard]] Node* root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_ != nullptr) stop(mark, "a second document starts here: one file holds one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) stop_at_structure(mark, "a key is missing in front of this ':'");
    // The mark of a value that is not there is wherever the next token stands.
    const Position place = pending_key_ ? pending_key_->position : position(mark);
    Node* node = make(NodeKind::kNull, mark);
    node->position = place;
    add(node, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) stop(mark, "an alias cannot be a key");
    if (++aliases_ > kMaxAliases) stop(mark, "more than " + std::to_string(kMaxAliases) + " aliases");
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) stop(mark, "this alias stands inside what it names");
    add(copy(*found->second, mark), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(mark, tag);
    check_quotes(mark, tag);
    if (expects_key()) {
      if (value == "<<" && tag == "?") stop(mark, "merge keys ('<<') are not supported: write the keys out");
      pending_key_ = PendingKey{value, position(mark)};
      return;
    }
    Node* node = make(NodeKind::kScalar, mark);
    node->text = value;
    add(node, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    start(NodeKind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    start(NodeKind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

  [[noreturn]] void stop(std::size_t line, std::size_t byte, std::string message) {
    const Position at = lines_.position(source_, line, byte);
    errors_.add(
        Error{ErrorKind::kConfig, source_->name, at.line, at.column, std::move(message), lines_.excerpt(line, byte)});
    throw Stop();
  }

 private:
  struct PendingKey {
    std::string name;
    Position position;
  };
  struct Open {
    Node* node;
    YAML::anchor_t anchor;
  };

  [[noreturn]] void stop(const YAML::Mark& mark, std::string message) {
    stop(at_least_zero(mark.line), at_least_zero(mark.column), std::move(message));
  }

  // An open bracket bends the structure long before the parser notices.
  [[noreturn]] void stop_at_structure(const YAML::Mark& mark, std::string message) {
    if (const auto mistake = find_unclosed(lines_)) stop(mistake->line, mistake->byte, mistake->message);
    stop(mark, std::move(message));
  }

  [[nodiscard]] Position position(const YAML::Mark& mark) const {
    return lines_.position(source_, at_least_zero(mark.line), at_least_zero(mark.column));
  }

  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().node->kind == NodeKind::kMap && !pending_key_;
  }

  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    stop(mark, "tags ('!') are not supported: the type of a value follows from its key");
  }

  // A quote that nobody closed swallows lines up to the next one, and what it swallowed is then taken for a value. A
  // quoted text therefore ends on its line; for longer ones there is '|'.
  void check_quotes(const YAML::Mark& mark, const std::string& tag) {
    if (tag != "!") return;
    const std::size_t line = at_least_zero(mark.line);
    const std::string_view text = lines_[line];
    std::size_t byte = at_least_zero(mark.column);
    while (byte < text.size() && text[byte] == '&') {
      byte = std::min(text.find(' ', byte), text.size());
      byte = std::min(text.find_first_not_of(' ', byte), text.size());
    }
    if (const auto mistake = find_open_quote(lines_, line, byte)) stop(mistake->line, mistake->byte, mistake->message);
  }

  Node* make(NodeKind kind, const YAML::Mark& mark) {
    if (document_.size() >= kMaxNodes) stop(mark, "more than " + format_grouped(kMaxNodes) + " values");
    return document_.make(kind, position(mark));
  }

  // What an alias stands for, copied: the limit on nodes is what keeps a bomb from going off.
  Node* copy(const Node& node, const YAML::Mark& mark) {
    Node* made = make(node.kind, mark);
    *made = node;
    for (Node*& child : made->children) child = copy(*child, mark);
    return made;
  }

  void start(NodeKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_tag(mark, tag);
    if (expects_key()) stop_at_structure(mark, "a key must be a single word");
    if (open_.size() >= kMaxDepth) stop(mark, "nested too deeply");
    Node* node = make(kind, mark);
    // An anchor is known from its end on, so that nothing contains itself.
    add(node, 0);
    open_.push_back({node, anchor});
  }

  void end() {
    if (open_.back().anchor != 0) anchors_[open_.back().anchor] = open_.back().node;
    open_.pop_back();
  }

  void add(Node* node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = node;
      return;
    }
    Node& parent = *open_.back().node;
    if (parent.kind == NodeKind::kMap) {
      node->key = std::move(pending_key_->name);
      node->key_position = pending_key_->position;
      pending_key_.reset();
      if (const Node* first = find(parent, node->key)) {
        errors_.add(node->key_position,
                    in_quotes(node->key) + " is already set at line " + std::to_string(first->key_position.line));
        return;
      }
    } else {
      node->key.clear();
      node->key_position = {};
    }
    parent.children.push_back(node);
  }

  Document& document_;
  const Source* source_;
  const Lines& lines_;
  Errors& errors_;
  Node* root_ = nullptr;
  std::vector<Open> open_;
  std::optional<PendingKey> pending_key_;
  std::map<YAML::anchor_t, const Node*> anchors_;
  std::size_t aliases_ = 0;
};

void parse(std::string_view text, const Lines& lines, TreeBuilder& builder) {
  if (const auto mistake = find_foreign_bytes(lines)) builder.stop(mistake->line, mistake->byte, mistake->message);
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    if (const auto mistake = find_unclosed(lines)) builder.stop(mistake->line, mistake->byte, mistake->message);
    builder.stop(at_least_zero(error.mark.line), at_least_zero(error.mark.column), explain(error.msg));
  }
}

}  // namespace

Node* read_yaml(Document& document, const Source* source, std::string_view text, Errors& errors) {
  if (text.size() > kMaxFileBytes) {
    errors.add(Position{source, 0, 0}, "larger than 1MiB: this is not a configuration");
    return nullptr;
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const Lines lines(text);
  TreeBuilder builder(document, source, lines, errors);
  try {
    parse(text, lines, builder);
  } catch (const Stop&) {
    return nullptr;
  } catch (const std::exception& error) {
    errors.add(Position{source, 0, 0}, std::string("cannot be read as YAML: ") + error.what());
    return nullptr;
  }
  return builder.root() != nullptr ? builder.root() : document.make(NodeKind::kNull, Position{source, 1, 1});
}

}  // namespace mqloop::config
