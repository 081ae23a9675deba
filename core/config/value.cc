#include "core/config/value.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config/suggest.h"
#include "core/config/units.h"

namespace mqloop::config {
namespace {

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool set_integer(Node& node, ValueType type, std::optional<std::int64_t> value) {
  if (!value) return false;
  node.type = type;
  node.integer = *value;
  return true;
}

bool set_number(Node& node, ValueType type, std::optional<double> value) {
  if (!value) return false;
  node.type = type;
  node.number = *value;
  return true;
}

template <typename T>
std::optional<std::int64_t> as_integer(const std::optional<T>& value) {
  if (!value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

bool set_word(Node& node, const OptionRule& rule, std::string& complaint) {
  if (contains(rule.words, node.text)) {
    node.type = ValueType::kWord;
    return true;
  }
  std::vector<std::string> words = rule.words;
  words.insert(words.end(), rule.extra_words.begin(), rule.extra_words.end());
  if (rule.section) {
    for (const auto& option : Access::rules(*rule.section).options) {
      words.push_back("{" + Access::rule(*option).name + ": ...}");
    }
  }
  complaint = in_quotes(node.text) + " is not one of " + joined(words);
  if (const std::string_view near = nearest(node.text, words); !near.empty()) {
    complaint += "; did you mean " + in_quotes(near) + "?";
  }
  return false;
}

// Sets the value as its type alone demands.
bool set_typed(Node& node, const OptionRule& rule, std::string& complaint) {
  switch (rule.type) {
    case OptionType::kBoolean:
      return set_integer(node, ValueType::kBoolean, as_integer(parse_boolean(node.text, complaint)));
    case OptionType::kInteger:
      return set_integer(node, ValueType::kInteger, parse_integer(node.text, complaint));
    case OptionType::kNumber:
      return set_number(node, ValueType::kNumber, parse_number(node.text, complaint));
    case OptionType::kDuration: {
      const auto value = parse_duration(node.text, complaint);
      return set_integer(node, ValueType::kDuration, value ? std::optional(value->count()) : std::nullopt);
    }
    case OptionType::kSize:
      return set_integer(node, ValueType::kSize, as_integer(parse_size(node.text, complaint)));
    case OptionType::kRate:
      return set_number(node, ValueType::kRate, parse_rate(node.text, complaint));
    case OptionType::kByteRate:
      return set_number(node, ValueType::kRate, parse_byte_rate(node.text, complaint));
    case OptionType::kEndpoint:
      node.type = ValueType::kText;
      // Nobody wrote one: the zero value.
      return (node.is_default && node.text.empty()) || parse_endpoint(node.text, complaint).has_value();
    case OptionType::kEnumeration:
      return set_word(node, rule, complaint);
    case OptionType::kString:
    case OptionType::kPath:
    case OptionType::kSecret:
    case OptionType::kSection:
    case OptionType::kAnything:
      node.type = ValueType::kText;
      return true;
  }
  return false;
}

bool is_less(const Node& a, const Node& b) {
  const bool real = a.type == ValueType::kNumber || a.type == ValueType::kRate;
  return real ? a.number < b.number : a.integer < b.integer;
}

// `65535s (18h12m15s)`: the bound, and what it is in units that people read, where that says more.
std::string bound_text(const Bound& bound, const Node& value) {
  std::string out = bound.text;
  if (value.type == ValueType::kDuration) {
    const std::string readable = format_duration(std::chrono::milliseconds(value.integer));
    if (readable != bound.text) out += " (" + readable + ")";
  }
  return out;
}

bool within(const Node& node, const OptionRule& rule, const Bound& bound, bool lower, std::string& complaint) {
  Node limit;
  limit.text = bound.text;
  std::string ignored;
  if (!set_typed(limit, rule, ignored)) {
    complaint = "the schema's own bound " + in_quotes(bound.text) + " is no value of this option";
    return false;
  }
  if (!(lower ? is_less(node, limit) : is_less(limit, node))) return true;
  complaint = node.text + (lower ? " is below " : " is above ") + bound.of_what + " " + bound_text(bound, limit);
  return false;
}

}  // namespace

bool set_value(Node& node, const OptionRule& rule, std::string& complaint) {
  if (contains(rule.extra_words, node.text)) {
    node.type = ValueType::kWord;
    return true;
  }
  if (!set_typed(node, rule, complaint)) {
    if (!rule.extra_words.empty() && rule.type != OptionType::kEnumeration) {
      complaint += ", nor " + joined(rule.extra_words);
    }
    return false;
  }
  if (rule.not_empty && node.text.empty()) {
    complaint = "must not be empty";
    return false;
  }
  if (rule.least && !within(node, rule, *rule.least, true, complaint)) return false;
  return !rule.most || within(node, rule, *rule.most, false, complaint);
}

std::string absolute_path(std::string_view path, std::string_view folder) {
  if (path.empty()) return {};
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

bool read_secret(const std::string& file, std::string& content, std::string& complaint) {
  constexpr std::size_t kMaxSecretBytes = 64U << 10;
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) {
    complaint = file + ": " + std::generic_category().message(errno);
    return false;
  }
  content.resize(kMaxSecretBytes + 1);
  std::size_t size = 0;
  ssize_t got = 0;
  do {
    got = ::read(descriptor, content.data() + size, content.size() - size);
    if (got > 0) size += static_cast<std::size_t>(got);
  } while (got > 0 || (got < 0 && errno == EINTR));
  const int error_number = errno;
  struct stat info {};
  if (::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IROTH) != 0) {
    complaint = file + ": everybody on this machine may read it; chmod o-r " + file;
  }
  ::close(descriptor);
  if (got < 0 || size > kMaxSecretBytes) {
    complaint = file + ": " + (got < 0 ? std::generic_category().message(error_number) : "larger than 64KiB");
    return false;
  }
  content.resize(size);
  if (content.ends_with('\n')) content.pop_back();
  if (content.ends_with('\r')) content.pop_back();
  return true;
}

}  // namespace mqloop::config
