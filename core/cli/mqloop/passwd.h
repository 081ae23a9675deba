// `mqloop passwd`: makes and keeps password files for auth_file and mosquitto. One user a call; the file changes whole
// or not at all, and lines that are not about that user stay as they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

#include "core/password/password_hash.h"

namespace mqloop::cli {

enum class PasswdAction : std::uint8_t { kSet, kCreate, kDelete, kHelp };

struct PasswdOptions {
  PasswdAction action = PasswdAction::kSet;
  password::Cost cost = password::default_cost(password::Scheme::kScrypt);
  std::string file;
  std::string name;
  std::optional<std::string> password;  // of the command line
};

// The words after `passwd`. A mistake is told in one sentence.
[[nodiscard]] Result<PasswdOptions> parse_passwd(const std::vector<std::string>& words);

// What the text of a file becomes.
struct PasswordEdit {
  std::string text;
  bool was_there = false;             // the user, before
  std::vector<std::string> mistakes;  // in lines of others, as `line:column: what`: the file will not be loaded
};
// Sets the hash of `name`, or takes the user out when `hash` is empty. A user who is there more than once is left once.
[[nodiscard]] PasswordEdit edit_passwords(std::string_view text, std::string_view name, std::string_view hash);

// The exit code; what is to be said has been said.
[[nodiscard]] int run_passwd(const PasswdOptions& options);

}  // namespace mqloop::cli
