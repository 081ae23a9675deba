// The list of options in mqloop.yaml(5), as mdoc(7), from the table that check() uses.
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/print.h"
#include "core/config/schema.h"

namespace mqloop::config {
namespace {

// Text that the formatter leaves as it is, within a line.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
  }
  return out;
}

// A line of text; its first character may be no request of its own.
std::string text_line(std::string_view text) {
  const bool request = text.starts_with('.') || text.starts_with('\'');
  return (request ? "\\&" : "") + plain(text) + "\n";
}

// One argument of a macro, whatever it looks like.
std::string argument(std::string_view text) {
  std::string out = "\"\\&";
  for (const char c : plain(text)) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string sentence(std::string_view help) {
  std::string out(help);
  if (!out.empty()) out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out + ".";
}

std::string joined_or(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i != words.size(); ++i) {
    if (i != 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

std::string_view name_of(OptionType type) {
  switch (type) {
    case OptionType::kBoolean:
      return "true or false";
    case OptionType::kInteger:
      return "whole number";
    case OptionType::kNumber:
      return "number";
    case OptionType::kDuration:
      return "duration";
    case OptionType::kSize:
      return "size";
    case OptionType::kRate:
      return "rate";
    case OptionType::kByteRate:
      return "rate of bytes";
    case OptionType::kEndpoint:
      return "address";
    case OptionType::kPath:
      return "path";
    case OptionType::kSecret:
      return "secret";
    case OptionType::kString:
      return "text";
    case OptionType::kEnumeration:
    case OptionType::kSection:
    case OptionType::kAnything:
      break;
  }
  return "block";
}

// `Whole number from 0 to 2`, `List of 3, 4 or 5`.
std::string kind_of(const OptionRule& rule) {
  std::string kind;
  if (rule.shape == Shape::kList) kind = "list of ";
  if (rule.shape == Shape::kMap) kind = "map of names to ";
  kind += rule.type == OptionType::kEnumeration ? joined_or(rule.words) : std::string(name_of(rule.type));
  if (rule.least) kind += (rule.most ? " from " : " of at least ") + rule.least->text;
  if (rule.most) kind += (rule.least ? " to " : " of at most ") + rule.most->text;
  for (const std::string& word : rule.extra_words) kind += ", or " + word;
  if (rule.section && rule.type != OptionType::kSection) {
    std::string keys;
    for (const auto& option : Access::rules(*rule.section).options) {
      keys += (keys.empty() ? "" : ", ") + Access::rule(*option).name + ": ...";
    }
    kind += ", or {" + keys + "}";
  }
  kind[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(kind[0])));
  return kind;
}

class ManualPrinter {
 public:
  std::string run(const Schema& schema) {
    out_ = ".Bl -tag -width Ds\n";
    print_block(schema, "");
    return out_ + ".El\n";
  }

 private:
  void print_block(const Schema& schema, const std::string& prefix) {
    for (const auto& option : Access::rules(schema).options) print_option(Access::rule(*option), prefix);
  }

  // The keys of a sparse block stand, with all that there is to say of them, in another one.
  void print_option(const OptionRule& rule, const std::string& prefix) {
    const std::string path = prefix + rule.name;
    out_ += ".It Ic " + argument(path) + "\n" + text_line(sentence(rule.help));
    if (rule.section && Access::rules(*rule.section).sparse) {
      out_ += text_line("Keys: " + keys_of(*rule.section, "") + ".");
      return;
    }
    if (rule.type == OptionType::kSection) {
      const char* each = rule.shape == Shape::kList ? "[]." : rule.shape == Shape::kMap ? ".NAME." : ".";
      if (rule.shape != Shape::kOne && rule.default_text) print_default_of("Default", rule);
      print_block(*rule.section, path + each);
      return;
    }
    if (rule.type == OptionType::kAnything) return;
    if (rule.required) {
      out_ += text_line(kind_of(rule) + "; required.");
    } else {
      print_default_of(kind_of(rule) + "; default", rule);
    }
  }

  // `max_qos, retain.enabled`
  static std::string keys_of(const Schema& schema, const std::string& prefix) {
    std::string keys;
    for (const auto& option : Access::rules(schema).options) {
      const OptionRule& rule = Access::rule(*option);
      const std::string path = prefix + rule.name;
      keys += (keys.empty() ? "" : ", ") + (rule.section ? keys_of(*rule.section, path + ".") : path);
    }
    return keys;
  }

  void print_default_of(const std::string& before, const OptionRule& rule) {
    std::string_view value = zero_text(rule);
    if (rule.default_text) value = *rule.default_text;
    if (value.empty()) value = rule.shape == Shape::kList ? "[]" : rule.shape == Shape::kMap ? "{}" : "\"\"";
    out_ += text_line(before) + ".Ql " + argument(value) + " .\n";
  }

  std::string out_;
};

}  // namespace

std::string print_manual(const Schema& schema) { return ManualPrinter().run(schema); }

}  // namespace mqloop::config
