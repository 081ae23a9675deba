#include "core/config/expand.h"

#include <cstdlib>

#include "core/config/units.h"

namespace mqloop::config {
namespace {

bool is_name(std::string_view text) {
  for (const char c : text) {
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) return false;
  }
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9');
}

// What `inside` of a ${...} stands for, appended to `out`.
bool expand_one(std::string_view inside, Environment environment, std::string& out, std::string& complaint) {
  const std::size_t colon = inside.find(':');
  const std::string name(inside.substr(0, colon));
  const std::string_view rest = colon == std::string_view::npos ? std::string_view() : inside.substr(colon + 1);
  const bool has_default = rest.starts_with('-');
  if (!is_name(name) || (colon != std::string_view::npos && !has_default && !rest.starts_with('?'))) {
    complaint = in_quotes("${" + std::string(inside) + "}") +
                ": write ${VAR}, ${VAR:-default}, ${VAR:?message}, or $${ for the characters themselves";
    return false;
  }
  const char* value = environment(name.c_str());
  const bool empty = value == nullptr || *value == '\0';
  if (colon == std::string_view::npos) {
    if (value == nullptr) {
      complaint = "the environment variable " + name + " is not set; ${" + name + ":-default} would give it a default";
      return false;
    }
    out += value;
  } else if (!empty) {
    out += value;
  } else if (has_default) {
    out += rest.substr(1);
  } else {
    complaint = name + ": " + (rest.size() > 1 ? std::string(rest.substr(1)) : "not set");
    return false;
  }
  return true;
}

}  // namespace

const char* process_environment(const char* name) { return std::getenv(name); }

bool expand(std::string_view text, Environment environment, std::string& out, std::string& complaint) {
  out.clear();
  while (!text.empty()) {
    const std::size_t dollar = text.find("${");
    if (dollar == std::string_view::npos) {
      out += text;
      return true;
    }
    if (dollar > 0 && text[dollar - 1] == '$') {
      out += text.substr(0, dollar - 1);
      out += "${";
      text.remove_prefix(dollar + 2);
      continue;
    }
    out += text.substr(0, dollar);
    text.remove_prefix(dollar);
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) {
      complaint = in_quotes(text) + ": this '${' is never closed";
      return false;
    }
    if (!expand_one(text.substr(2, end - 2), environment, out, complaint)) return false;
    text.remove_prefix(end + 1);
  }
  return true;
}

void expand_tree(Node& node, Environment environment, Errors& errors) {
  if (node.kind == NodeKind::kScalar && node.text.find("${") != std::string::npos) {
    std::string expanded;
    std::string complaint;
    if (expand(node.text, environment, expanded, complaint)) {
      node.text = std::move(expanded);
    } else {
      errors.add(node.position, complaint);
    }
  }
  for (Node* child : node.children) expand_tree(*child, environment, errors);
}

}  // namespace mqloop::config
