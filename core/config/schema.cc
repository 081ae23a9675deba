#include "core/config/schema.h"

#include <string>
#include <utility>

namespace mqloop {

using config::Bound;
using config::OptionRule;
using config::OptionType;
using config::Shape;

Option::Option() : rule_(new OptionRule) {}
Option::~Option() { delete rule_; }

Option& Option::defaults_to(std::string_view value) {
  rule_->default_text = std::string(value);
  return *this;
}

Option& Option::required() {
  rule_->required = true;
  return *this;
}

Option& Option::at_least(std::string_view value, std::string_view of_what) {
  rule_->least = Bound{std::string(value), std::string(of_what)};
  return *this;
}

Option& Option::at_most(std::string_view value, std::string_view of_what) {
  rule_->most = Bound{std::string(value), std::string(of_what)};
  return *this;
}

Option& Option::not_empty() {
  rule_->not_empty = true;
  return *this;
}

Option& Option::or_word(std::string_view word) {
  rule_->extra_words.emplace_back(word);
  return *this;
}

Schema& Option::or_section() {
  if (!rule_->section) rule_->section = std::make_unique<Schema>();
  return *rule_->section;
}

Option& Option::list() {
  rule_->shape = Shape::kList;
  return *this;
}

Option& Option::map() {
  rule_->shape = Shape::kMap;
  return *this;
}

Schema::Schema() : rules_(new config::SchemaRules) {}
Schema::~Schema() { delete rules_; }

Option& Schema::add(std::string_view name, std::string_view help, OptionType type) {
  rules_->options.emplace_back(new Option);
  Option& option = *rules_->options.back();
  option.rule_->name = name;
  option.rule_->help = help;
  option.rule_->type = type;
  return option;
}

Option& Schema::boolean(std::string_view name, std::string_view help) { return add(name, help, OptionType::kBoolean); }

Option& Schema::integer(std::string_view name, std::string_view help) { return add(name, help, OptionType::kInteger); }

Option& Schema::number(std::string_view name, std::string_view help) { return add(name, help, OptionType::kNumber); }

Option& Schema::string(std::string_view name, std::string_view help) { return add(name, help, OptionType::kString); }

Option& Schema::duration(std::string_view name, std::string_view help) {
  return add(name, help, OptionType::kDuration);
}

Option& Schema::size(std::string_view name, std::string_view help) { return add(name, help, OptionType::kSize); }

Option& Schema::rate(std::string_view name, std::string_view help) { return add(name, help, OptionType::kRate); }

Option& Schema::byte_rate(std::string_view name, std::string_view help) {
  return add(name, help, OptionType::kByteRate);
}

Option& Schema::endpoint(std::string_view name, std::string_view help) {
  return add(name, help, OptionType::kEndpoint);
}

Option& Schema::path(std::string_view name, std::string_view help) { return add(name, help, OptionType::kPath); }

Option& Schema::secret(std::string_view name, std::string_view help) { return add(name, help, OptionType::kSecret); }

Option& Schema::anything(std::string_view name, std::string_view help) {
  return add(name, help, OptionType::kAnything);
}

Option& Schema::enumeration(std::string_view name, std::string_view help,
                            std::initializer_list<std::string_view> words) {
  Option& option = add(name, help, OptionType::kEnumeration);
  option.rule_->words.assign(words.begin(), words.end());
  return option;
}

Option& Schema::map_of_string(std::string_view name, std::string_view help) { return string(name, help).map(); }

Option& Schema::list_of_string(std::string_view name, std::string_view help) { return string(name, help).list(); }

Schema& Schema::section(std::string_view name, std::string_view help) {
  return add(name, help, OptionType::kSection).or_section();
}

Schema& Schema::list_of_sections(std::string_view name, std::string_view help, std::string_view named_by,
                                 std::string_view defaults_to) {
  Option& option = add(name, help, OptionType::kSection).list().defaults_to(defaults_to);
  option.rule_->named_by = named_by;
  Schema& block = option.or_section();
  if (!named_by.empty())
    block.string(named_by, "a name of its own, for messages and references").required().not_empty();
  return block;
}

Schema& Schema::map_of_sections(std::string_view name, std::string_view help, std::string_view defaults_to) {
  return add(name, help, OptionType::kSection).map().defaults_to(defaults_to).or_section();
}

namespace config {

const OptionRule* find_option(const Schema& schema, std::string_view name) noexcept {
  for (const auto& option : Access::rules(schema).options) {
    const OptionRule& rule = Access::rule(*option);
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

std::string_view zero_text(const OptionRule& rule) noexcept {
  switch (rule.type) {
    case OptionType::kBoolean:
      return "false";
    case OptionType::kInteger:
    case OptionType::kNumber:
      return "0";
    case OptionType::kDuration:
      return "0s";
    case OptionType::kSize:
      return "0B";
    case OptionType::kRate:
      return "0/s";
    case OptionType::kByteRate:
      return "0B/s";
    case OptionType::kEnumeration:
      return rule.words.empty() ? std::string_view() : std::string_view(rule.words.front());
    case OptionType::kString:
    case OptionType::kEndpoint:
    case OptionType::kPath:
    case OptionType::kSecret:
    case OptionType::kSection:
    case OptionType::kAnything:
      return {};
  }
  return {};
}

void set_reload(Schema& schema, std::string_view name, Reload reload) noexcept {
  for (const auto& option : Access::rules(schema).options) {
    if (OptionRule& rule = Access::rule(*option); rule.name == name) rule.reload = reload;
  }
}

char letter_of(Reload reload) noexcept {
  switch (reload) {
    case Reload::kLive:
      return 'L';
    case Reload::kListener:
      return 'R';
    case Reload::kRestart:
      break;
  }
  return 'X';
}

void leave_open(Schema& schema) noexcept { Access::rules(schema).open = true; }

void leave_sparse(Schema& schema) noexcept {
  Access::rules(schema).sparse = true;
  for (const auto& option : Access::rules(schema).options) {
    if (const OptionRule& rule = Access::rule(*option); rule.section) leave_sparse(*rule.section);
  }
}

}  // namespace config
}  // namespace mqloop
