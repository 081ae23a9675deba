#include "core/cli/mqloopd/command_line.h"

#include <optional>

#include "core/base/build_info.h"
#include "core/config/suggest.h"

namespace mqloop::cli {
namespace {

struct OptionName {
  std::string_view name;
  Action action;
};

constexpr OptionName kActions[] = {
    {"--check", Action::kCheck},
    {"--print-default", Action::kPrintDefault},
    {"--print-effective", Action::kPrintEffective},
    {"--print-schema", Action::kPrintSchema},
    {"--print-manual", Action::kPrintManual},
    {"--version", Action::kVersion},
    {"--help", Action::kHelp},
    {"-h", Action::kHelp},
};

// The options that take a value, each with its short form.
constexpr std::string_view kConfig = "--config";
constexpr std::string_view kSet = "--set";

Status unknown_option(std::string_view argument) {
  std::vector<std::string> names = {std::string(kConfig), std::string(kSet)};
  for (const OptionName& option : kActions) {
    if (option.name.starts_with("--")) names.emplace_back(option.name);
  }
  std::string message = argument.starts_with('-') ? "unknown option '" : "unexpected argument '";
  message += argument;
  message += '\'';
  if (const std::string_view near = config::nearest(argument, names); !near.empty()) {
    message += "; did you mean " + std::string(near) + "?";
  }
  return invalid_argument(message);
}

class ArgumentReader {
 public:
  explicit ArgumentReader(const std::vector<std::string_view>& arguments) : arguments_(arguments) {}

  Result<CommandLine> run() {
    for (at_ = 0; at_ < arguments_.size(); ++at_) {
      if (Status status = take(arguments_[at_]); !status.ok()) return status;
    }
    return std::move(line_);
  }

 private:
  Status take(std::string_view argument) {
    for (const OptionName& option : kActions) {
      if (argument == option.name) return choose(option.action);
    }
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    std::optional<std::string_view> value;
    if (argument.starts_with("-c") && !argument.starts_with("--")) {
      if (argument.size() > 2) value = argument.substr(2);
      return take_file(value);
    }
    if (equals != std::string_view::npos) value = argument.substr(equals + 1);
    if (name == kConfig) return take_file(value);
    if (name == kSet) return take_override(value);
    return unknown_option(argument);
  }

  Status choose(Action action) {
    if (line_.action != Action::kRun && line_.action != action) return invalid_argument("one action at a time");
    line_.action = action;
    return ok();
  }

  // The value behind '=', or else the next argument.
  bool complete(std::optional<std::string_view>& value) {
    if (!value && at_ + 1 < arguments_.size()) value = arguments_[++at_];
    return value.has_value();
  }

  Status take_file(std::optional<std::string_view> value) {
    if (!complete(value) || value->empty()) return invalid_argument("-c needs a file");
    if (!line_.file.empty()) return invalid_argument("-c was given twice: further files go under include:");
    line_.file = *value;
    return ok();
  }

  Status take_override(std::optional<std::string_view> value) {
    if (!complete(value)) return invalid_argument("--set needs KEY=VALUE, e.g. --set limits.max_qos=1");
    line_.overrides.emplace_back(*value);
    return ok();
  }

  const std::vector<std::string_view>& arguments_;
  std::size_t at_ = 0;
  CommandLine line_;
};

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string_view>& arguments) {
  return ArgumentReader(arguments).run();
}

std::string help_text() {
  return std::string(R"(mqloopd - MQTT broker

  mqloopd [-c FILE] [--set KEY=VALUE]...

  -c, --config FILE    the configuration; without it )") +
         build::kConfigFile + R"(
  --set KEY=VALUE      overrides one value, e.g. --set limits.max_qos=1 or --set listeners.local.bind=127.0.0.1:1884
  --check              checks the configuration, plugins included, and ends
  --print-default      prints a configuration with every key, its default and what it means
  --print-effective    prints the configuration in force, each value with the place it comes from
  --print-schema       prints the JSON Schema of the configuration, for editors
  --print-manual       prints the options as they stand in mqloop.yaml(5)
  --version, --help

Exit codes: 0 well, 1 failure, 2 command line, 3 configuration, 4 listener, 5 file, 6 plugin.
)";
}

}  // namespace mqloop::cli
