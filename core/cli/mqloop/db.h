// `mqloop db`: looks after a broker's database while no broker does: checks it, makes it small, writes it as text and
// reads text, or a file of mosquitto, into a new one. `check` and `export` leave a broker alone that has it open; the
// others refuse then.
#pragma once

#include <string>
#include <vector>

#include <mqloop/status.h>

namespace mqloop::cli {

enum class DbAction : std::uint8_t { kHelp, kCheck, kCompact, kExport, kImport };

struct DbOptions {
  DbAction action = DbAction::kHelp;
  std::string file;
  std::string from;  // of kImport; `-` is standard input
};

// The words after `db`. A mistake is told in one sentence.
[[nodiscard]] Result<DbOptions> parse_db(const std::vector<std::string>& words);

// The exit code; what is to be said has been said.
[[nodiscard]] int run_db(const DbOptions& options);

}  // namespace mqloop::cli
