// JSON Schema for editors (print_json_schema), from the same table that check() uses. It says less than check() does
// where JSON Schema cannot: bounds of values with units are checked by the daemon alone.
#include <string>
#include <string_view>

#include "core/config/print.h"
#include "core/config/schema.h"

namespace mqloop::config {
namespace {

constexpr std::string_view kDuration = "^(infinite|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";
constexpr std::string_view kSize = "^[0-9]+(B|KiB|MiB|GiB|TiB)$";
constexpr std::string_view kRate = "^[0-9]+/[smh]$";
constexpr std::string_view kByteRate = "^[0-9]+(B|KiB|MiB|GiB|TiB)/[smh]$";
constexpr std::string_view kVariable = R"({ "type": "string", "pattern": "\\$\\{" })";

std::string json_text(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xFU];
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

std::string words_json(const std::vector<std::string>& words) {
  std::string out = "{ \"enum\": [";
  for (std::size_t i = 0; i < words.size(); ++i) {
    out += (i == 0 ? "" : ", ") + json_text(words[i]);
    // 3 is a number for JSON Schema, a word for us.
    if (!words[i].empty() && words[i].find_first_not_of("0123456789") == std::string::npos) out += ", " + words[i];
  }
  return out + "] }";
}

std::string pattern_json(std::string_view pattern) {
  return "{ \"type\": \"string\", \"pattern\": " + json_text(pattern) + " }";
}

std::string number_json(const OptionRule& rule, std::string_view type) {
  std::string out = "{ \"type\": \"" + std::string(type) + "\"";
  if (rule.least) out += ", \"minimum\": " + rule.least->text;
  if (rule.most) out += ", \"maximum\": " + rule.most->text;
  return out + " }";
}

std::string scalar_json(const OptionRule& rule) {
  switch (rule.type) {
    case OptionType::kBoolean:
      return R"({ "type": "boolean" })";
    case OptionType::kInteger:
      return number_json(rule, "integer");
    case OptionType::kNumber:
      return number_json(rule, "number");
    case OptionType::kDuration:
      return pattern_json(kDuration);
    case OptionType::kSize:
      return pattern_json(kSize);
    case OptionType::kRate:
      return pattern_json(kRate);
    case OptionType::kByteRate:
      return pattern_json(kByteRate);
    case OptionType::kEnumeration:
      return words_json(rule.words);
    case OptionType::kEndpoint:
    case OptionType::kPath:
      return R"({ "type": "string" })";
    case OptionType::kString:
      return R"({ "type": ["string", "number", "boolean"] })";
    case OptionType::kSecret:
      return R"({ "type": ["string", "number", "boolean", "object"] })";
    case OptionType::kSection:
    case OptionType::kAnything:
      return "{}";
  }
  return "{}";
}

class JsonPrinter {
 public:
  std::string run(const Schema& schema) {
    out_ = "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"mqloop.yaml\",\n";
    print_members(schema, "  ");
    out_ += "\n}\n";
    return std::move(out_);
  }

 private:
  // "type": "object" and what belongs to it, without the braces.
  void print_members(const Schema& schema, const std::string& indent) {
    std::string required;
    out_ += indent + "\"type\": \"object\",\n" + indent + "\"properties\": {\n";
    bool first = true;
    for (const auto& option : Access::rules(schema).options) {
      const OptionRule& rule = Access::rule(*option);
      if (rule.required) required += (required.empty() ? "" : ", ") + json_text(rule.name);
      if (!first) out_ += ",\n";
      first = false;
      print_option(rule, indent + "  ");
    }
    out_ += "\n" + indent + "},\n";
    if (!required.empty()) out_ += indent + "\"required\": [" + required + "],\n";
    out_ += indent + "\"additionalProperties\": " + (Access::rules(schema).open ? "true" : "false");
  }

  void print_option(const OptionRule& rule, const std::string& indent) {
    out_ += indent + json_text(rule.name) + ": {\n" + indent + "  \"description\": " + json_text(rule.help) + ",\n";
    const std::string inner = indent + "  ";
    switch (rule.shape) {
      case Shape::kOne:
        print_value(rule, inner);
        break;
      case Shape::kList:
        out_ += inner + "\"type\": [\"array\", \"null\"],\n" + inner + "\"items\": {\n";
        print_value(rule, inner + "  ");
        out_ += "\n" + inner + "}";
        break;
      case Shape::kMap:
        out_ += inner + "\"type\": [\"object\", \"null\"],\n" + inner + "\"additionalProperties\": {\n";
        print_value(rule, inner + "  ");
        out_ += "\n" + inner + "}";
        break;
    }
    out_ += "\n" + indent + "}";
  }

  void print_value(const OptionRule& rule, const std::string& indent) {
    if (rule.type == OptionType::kSection) {
      print_members(*rule.section, indent);
      return;
    }
    out_ += indent + "\"anyOf\": [ " + scalar_json(rule);
    if (!rule.extra_words.empty()) out_ += ", " + words_json(rule.extra_words);
    if (rule.section) {
      out_ += ", {\n";
      print_members(*rule.section, indent + "  ");
      out_ += "\n" + indent + "}";
    }
    out_ += ", " + std::string(kVariable) + " ]";
  }

  std::string out_;
};

}  // namespace

std::string print_json_schema(const Schema& schema) { return JsonPrinter().run(schema); }

}  // namespace mqloop::config
