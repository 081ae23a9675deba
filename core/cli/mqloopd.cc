// mqloopd: the broker as a daemon, assembled from plugins by a configuration file. Here: the command line, and what it
// asks for short of serving; core/cli/mqloopd/run.cc serves.
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/build_info.h"
#include "core/broker/settings.h"
#include "core/broker/settings_schema.h"
#include "core/cli/mqloopd/command_line.h"
#include "core/cli/mqloopd/run.h"
#include "core/config/print.h"
#include "core/plugin/host.h"

namespace mqloop::cli {
namespace {

void print(std::FILE* to, std::string_view text) { std::fwrite(text.data(), 1, text.size(), to); }

int exit_code_of(const config::Errors& errors) {
  if (errors.has(config::ErrorKind::kConfig)) return kExitConfig;
  return errors.has(config::ErrorKind::kFile) ? kExitFile : kExitPlugin;
}

int print_from_schema(std::string (*printer)(const Schema&)) {
  Schema schema;
  broker::describe_core(schema);
  print(stdout, printer(schema));
  return kExitOk;
}

int with_configuration(const CommandLine& line) {
  config::Errors errors;
  config::Input input;
  input.file = line.file.empty() ? build::kConfigFile : line.file;
  input.overrides = line.overrides;
  broker::BrokerSettings settings = broker::load_settings(input, errors);
  plugin::PluginHost host;
  Ref<broker::BrokerConfiguration> configuration;
  if (settings.document.root().exists()) configuration = host.load(std::move(settings), errors);
  print(stderr, errors.warnings());
  if (!errors.empty()) {
    print(stderr, errors.text());
    return exit_code_of(errors);
  }
  if (line.action == Action::kRun) return run(std::move(configuration), host, input);
  print(stdout, line.action == Action::kCheck
                    ? input.file + ": ok\n"
                    : config::print_effective(configuration->settings.document.root(), configuration->checked_blocks));
  return kExitOk;
}

int main_of(const std::vector<std::string_view>& arguments) {
  const Result<CommandLine> line = parse_command_line(arguments);
  if (!line.ok()) {
    print(stderr, "mqloopd: " + std::string(line.status().message()) + "\nmqloopd --help tells what there is\n");
    return kExitUsage;
  }
  switch (line.value().action) {
    case Action::kHelp:
      print(stdout, help_text());
      return kExitOk;
    case Action::kVersion:
      print(stdout, std::string("mqloopd ") + build::kVersion + "\n");
      return kExitOk;
    case Action::kPrintDefault:
      return print_from_schema(config::print_default);
    case Action::kPrintSchema:
      return print_from_schema(config::print_json_schema);
    case Action::kPrintManual:
      return print_from_schema(config::print_manual);
    case Action::kCheck:
    case Action::kPrintEffective:
    case Action::kRun:
      return with_configuration(line.value());
  }
  return kExitFailure;
}

}  // namespace
}  // namespace mqloop::cli

int main(int argc, char** argv) {
  try {
    return mqloop::cli::main_of({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mqloopd: %s\n", error.what());
    return mqloop::cli::kExitFailure;
  }
}
