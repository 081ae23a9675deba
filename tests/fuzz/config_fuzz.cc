// Any bytes as a configuration file: whatever they are, the loader answers with settings or with mistakes, each of
// which names a place in the text. What it accepts, it accepts again in the form in which it prints it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/broker/settings.h"
#include "core/broker/settings_schema.h"
#include "core/config/check.h"
#include "core/config/expand.h"
#include "core/config/merge.h"
#include "core/config/print.h"
#include "core/config/yaml_reader.h"

namespace {

using namespace mqloop;

const char* no_environment(const char* name) { return std::string_view(name) == "HOME" ? "/home/x: {y" : nullptr; }

void require(bool truth) {
  if (!truth) std::abort();
}

// The settings' tree, or one without a root after a mistake.
config::Document checked(std::string_view text, std::string_view override_text, const Schema& schema,
                         config::Errors& errors) {
  config::Document raw;
  config::Node* root = config::read_yaml(raw, raw.source("fuzz.yaml", "/"), text, errors);
  require(root != nullptr || !errors.empty());
  require(raw.size() <= config::kMaxNodes + 1);
  if (root == nullptr) return {};
  raw.set_root(root);
  if (root->kind == config::NodeKind::kMap && !override_text.empty()) {
    config::override_value(raw, override_text, schema, errors);
  }
  config::expand_tree(*root, no_environment, errors);
  config::CheckOptions options;
  options.environment = no_environment;
  config::Document document = config::check(schema, raw.root(), errors, options);
  const broker::BrokerSettings settings = broker::settings_from(std::move(document), errors);
  if (!errors.empty()) return {};
  // The settings' own copy of the tree goes with them; a caller needs one that stays.
  config::Errors none;
  document = config::check(schema, raw.root(), none, options);
  require(none.empty());
  return document;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // Behind a zero byte stands an override.
  const std::size_t border = input.find('\0');
  const std::string_view text = input.substr(0, border);
  const std::string_view override_text = border == std::string_view::npos ? "" : input.substr(border + 1);
  static const Schema& schema = *[] {
    auto* made = new Schema;
    broker::describe_core(*made);
    return made;
  }();

  config::Errors errors;
  const config::Document first = checked(text, override_text, schema, errors);
  require(errors.empty() == errors.text().empty());
  for (const config::Error& error : errors.all()) require(!error.message.empty() && !error.source.empty());
  if (!errors.empty()) return 0;

  const std::string printed = config::print_effective(first.root());
  if (printed.find("\"***\"") != std::string::npos) return 0;  // what plugins have to check is not shown
  config::Errors again;
  const config::Document second = checked(printed, {}, schema, again);
  require(again.empty());
  return 0;
}
