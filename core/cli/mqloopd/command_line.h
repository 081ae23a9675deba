// What was asked of mqloopd on its command line. Pure: nothing is read or opened here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

namespace mqloop::cli {

// The exit codes of mqloopd; scripts and service managers rely on them.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,   // something else, said on stderr
  kExitUsage = 2,     // the command line
  kExitConfig = 3,    // the configuration
  kExitListener = 4,  // an address cannot be listened on
  kExitFile = 5,      // a file or folder that the configuration names
  kExitPlugin = 6,    // a plugin is missing or does not fit
};

enum class Action {
  kRun,
  kCheck,
  kPrintDefault,
  kPrintEffective,
  kPrintSchema,
  kPrintManual,
  kVersion,
  kHelp,
};

struct CommandLine {
  Action action = Action::kRun;
  std::string file;  // "" = the installed one
  std::vector<std::string> overrides;
};

// `arguments` without the program's name.
[[nodiscard]] Result<CommandLine> parse_command_line(const std::vector<std::string_view>& arguments);

[[nodiscard]] std::string help_text();

}  // namespace mqloop::cli
