// mqloop: the tool beside the broker. One word says what it is to do; each has its files in core/cli/mqloop/.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/build_info.h"
#include "core/cli/mqloop/db.h"
#include "core/cli/mqloop/new_plugin.h"
#include "core/cli/mqloop/passwd.h"

namespace mqloop::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kExitOk = 0;
constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

constexpr char kHelp[] = R"(mqloop - the tool beside the MQTT broker mqloopd

  mqloop check [FILE]        checks a configuration, plugins included: mqloopd --check
  mqloop db ...              looks after the database of a broker; mqloop db --help tells more
  mqloop new-plugin NAME     makes a folder NAME with a plugin to start from: source, Makefile, test, README
  mqloop passwd ...          keeps the users of a password file; mqloop passwd --help tells more
  mqloop help
  mqloop --version

Exit codes: 0 well, 1 failure, 2 command line; `check` has those of mqloopd.
)";

int complain(int exit_code, std::string_view message) {
  std::fprintf(stderr, "mqloop: %.*s\n", static_cast<int>(message.size()), message.data());
  return exit_code;
}

int usage(std::string_view message) {
  return complain(kExitUsage, std::string(message) + "; mqloop help tells what there is");
}

// The first of two places, both seen from the folder of this program, that is there.
fs::path beside_program(const char* in_build_tree, const char* installed) {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path first = (folder / in_build_tree).lexically_normal();
  return fs::exists(first) ? first : (folder / installed).lexically_normal();
}

int check(const std::vector<std::string>& arguments) {
  if (arguments.size() > 1) return usage("check takes one file");
  const std::string daemon = beside_program(build::kBuildDaemonFromTool, build::kDaemonFromTool).string();
  std::vector<std::string> words = {"mqloopd", "--check"};
  if (!arguments.empty()) words.insert(words.end(), {"-c", arguments.front()});
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(daemon.c_str(), argv.data());
  return complain(kExitFailure, from_errno(errno, daemon).message());
}

int new_plugin(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return usage("new-plugin takes one name");
  const std::string& name = arguments.front();
  if (const Status status = check_plugin_name(name); !status.ok()) return complain(kExitUsage, status.message());
  const fs::path from = beside_program(build::kBuildTemplateFromTool, build::kTemplateFromTool);
  if (const Status status = make_plugin(from, name, name); !status.ok()) {
    return complain(kExitFailure, status.message());
  }
  std::printf("%s/ is a plugin that works: its README.md says how to build and try it. Start with %s.cc\n",
              name.c_str(), name.c_str());
  return kExitOk;
}

int passwd(const std::vector<std::string>& arguments) {
  const Result<PasswdOptions> options = parse_passwd(arguments);
  if (options.ok()) return run_passwd(options.value());
  return complain(kExitUsage, std::string(options.status().message()) + "; mqloop passwd --help tells more");
}

int db(const std::vector<std::string>& arguments) {
  const Result<DbOptions> options = parse_db(arguments);
  if (options.ok()) return run_db(options.value());
  return complain(kExitUsage, std::string(options.status().message()) + "; mqloop db --help tells more");
}

int main_of(const std::vector<std::string>& words) {
  if (words.empty()) return usage("what shall be done?");
  const std::string& command = words.front();
  const std::vector<std::string> arguments(words.begin() + 1, words.end());
  if (command == "help" || command == "--help" || command == "-h") {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (command == "--version") {
    std::printf("mqloop %s\n", build::kVersion);
    return kExitOk;
  }
  if (command == "check") return check(arguments);
  if (command == "db") return db(arguments);
  if (command == "new-plugin") return new_plugin(arguments);
  if (command == "passwd") return passwd(arguments);
  return usage("there is no command '" + command + "'");
}

}  // namespace
}  // namespace mqloop::cli

int main(int argc, char** argv) {
  try {
    return mqloop::cli::main_of({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mqloop: %s\n", error.what());
    return mqloop::cli::kExitFailure;
  }
}
