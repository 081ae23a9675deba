#include "core/cli/mqloop/passwd.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

#include "core/cli/mqloop/password_prompt.h"
#include "core/cli/mqloop/replace_file.h"
#include "core/password/password_file.h"

namespace mqloop::cli {

namespace {

using password::Cost;
using password::Scheme;

constexpr int kExitOk = 0;
constexpr int kExitFailure = 1;

constexpr char kHelp[] = R"(mqloop passwd - user names and passwords for the plugin auth_file, and for mosquitto

  mqloop passwd -c FILE NAME         creates FILE with the user NAME
  mqloop passwd FILE NAME            adds the user NAME to FILE, or gives him another password
  mqloop passwd -D FILE NAME         deletes the user NAME from FILE
  mqloop passwd -b FILE NAME PASSWORD    takes the password from the command line, where others can see it

  -H SCHEME   scrypt (default), argon2id, or sha512-pbkdf2, which mosquitto 2.0 reads too
  --cost N    scrypt: logarithm of N (15); argon2id: KiB of memory (19456); sha512-pbkdf2: iterations (210000)

On a terminal the password is asked for, twice; otherwise it is the first line of standard input. -c goes with -b.
Exit codes: 0 well, 1 failure, 2 command line. A running broker takes the file when it is told to reload, or restarted.
)";

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

// ---- the command line ----------------------------------------------------------------------------------------------

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& words) : words_(words) {}

  Status parse(PasswdOptions& out) {
    for (; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      if (options_end_ || word.size() < 2 || word[0] != '-') {
        plain_.push_back(word);
      } else if (Status status = option(word); !status.ok()) {
        return status;
      }
    }
    return finish(out);
  }

 private:
  Status option(const std::string& word) {
    if (word == "--") {
      options_end_ = true;
      return ok();
    }
    if (word == "--help") {
      help_ = true;
      return ok();
    }
    if (word == "--cost") return value_of(word, cost_);
    if (word.starts_with("--cost=")) {
      cost_ = word.substr(7);
      return ok();
    }
    if (word.starts_with("--")) return invalid_argument("passwd: unknown option " + quoted(word));
    for (std::size_t i = 1; i < word.size(); ++i) {
      switch (word[i]) {
        case 'b':
          batch_ = true;
          break;
        case 'c':
          create_ = true;
          break;
        case 'D':
          delete_ = true;
          break;
        case 'h':
          help_ = true;
          break;
        case 'H':
          if (i + 1 == word.size()) return value_of("-H", scheme_);
          scheme_ = word.substr(i + 1);
          return ok();
        default:
          return invalid_argument("passwd: unknown option '-" + std::string(1, word[i]) + "'");
      }
    }
    return ok();
  }

  Status value_of(const std::string& option, std::optional<std::string>& out) {
    if (++at_ == words_.size()) return invalid_argument("passwd: " + option + " needs a value");
    out = words_[at_];
    return ok();
  }

  Status finish(PasswdOptions& out) {
    if (help_) {
      out.action = PasswdAction::kHelp;
      return ok();
    }
    if (create_ && delete_) return invalid_argument("passwd: -c or -D, not both");
    if (delete_ && (batch_ || scheme_ || cost_)) return invalid_argument("passwd: -D needs no password");
    out.action = delete_ ? PasswdAction::kDelete : create_ ? PasswdAction::kCreate : PasswdAction::kSet;
    const std::size_t expected = batch_ ? 3 : 2;
    if (plain_.size() == 3 && !batch_) {
      return invalid_argument("passwd: a password on the command line needs -b, and others can see it there");
    }
    if (plain_.size() != expected) {
      return invalid_argument(batch_ ? "passwd -b takes FILE NAME PASSWORD" : "passwd takes FILE NAME");
    }
    out.file = plain_[0];
    out.name = plain_[1];
    if (batch_) out.password = plain_[2];
    if (const std::string fault = password::fault_of_name(out.name); !fault.empty()) {
      return invalid_argument("passwd: " + fault);
    }
    return choose_cost(out.cost);
  }

  Status choose_cost(Cost& out) const {
    if (scheme_) {
      const std::optional<Scheme> scheme = password::scheme_of(*scheme_);
      if (scheme == Scheme::kSha512) {
        return invalid_argument("passwd: sha512 is read, but too weak to be written; for mosquitto -H sha512-pbkdf2");
      }
      if (!scheme) {
        return invalid_argument("passwd: -H is scrypt, argon2id or sha512-pbkdf2, not " + quoted(*scheme_));
      }
      out = password::default_cost(*scheme);
    }
    if (!cost_) return ok();
    std::uint32_t& number = out.scheme == Scheme::kArgon2id ? out.memory : out.rounds;
    const auto [end, error] = std::from_chars(cost_->data(), cost_->data() + cost_->size(), number);
    if (error != std::errc() || end != cost_->data() + cost_->size()) {
      return invalid_argument("passwd: --cost is a number, not " + quoted(*cost_));
    }
    const std::string fault = password::fault_of(out);
    return fault.empty() ? ok() : invalid_argument("passwd: --cost: " + fault);
  }

  const std::vector<std::string>& words_;
  std::size_t at_ = 0;
  bool options_end_ = false;
  bool batch_ = false;
  bool create_ = false;
  bool delete_ = false;
  bool help_ = false;
  std::optional<std::string> scheme_;
  std::optional<std::string> cost_;
  std::vector<std::string> plain_;
};

// ---- what is done --------------------------------------------------------------------------------------------------

Result<std::string> get_password(const PasswdOptions& options) {
  if (options.password) return *options.password;
  if (::isatty(STDIN_FILENO) == 0) return read_password_line(STDIN_FILENO);
  Result<std::string> first = ask_password(STDIN_FILENO, "Password for " + options.name + ": ");
  if (!first.ok() || first->empty()) return first;
  const Result<std::string> again = ask_password(STDIN_FILENO, "The same again: ");
  if (!again.ok()) return again.status();
  if (again.value() != first.value()) return invalid_argument("the two passwords differ; nothing was changed");
  return first;
}

Result<std::string> make_hash_text(const PasswdOptions& options) {
  Result<std::string> password = get_password(options);
  if (!password.ok()) return password.status();
  if (password->empty()) return invalid_argument("an empty password protects nothing; nothing was changed");
  if (password->size() > 65'535) return invalid_argument("a password has at most 65535 bytes; nothing was changed");
  Result<password::PasswordHash> hash = password::make_hash(options.cost, *password);
  if (!hash.ok()) return hash.status();
  return password::to_text(*hash);
}

Status no_such_file(const PasswdOptions& options) {
  return not_found(options.file + ": no such file; create it: mqloop passwd -c " + options.file + ' ' + options.name);
}

Status exists_already(const PasswdOptions& options) {
  return {StatusCode::kAlreadyExists,
          options.file + " is there already; to add " + quoted(options.name) + " to it leave out -c"};
}

Status create(const PasswdOptions& options) {
  // Before anybody is asked for a password; create_file() has the last word.
  if (::access(options.file.c_str(), F_OK) == 0) return exists_already(options);
  Result<std::string> hash = make_hash_text(options);
  if (!hash.ok()) return hash.status();
  Status status = create_file(options.file, options.name + ':' + *hash + '\n');
  return status.code() == StatusCode::kAlreadyExists ? exists_already(options) : status;
}

// The lock is held for the change alone, not while somebody thinks of a password.
Status change(const PasswdOptions& options) {
  if (::access(options.file.c_str(), F_OK) != 0) {
    return errno == ENOENT ? no_such_file(options) : from_errno(errno, options.file);
  }
  std::string hash;
  if (options.action == PasswdAction::kSet) {
    Result<std::string> made = make_hash_text(options);
    if (!made.ok()) return made.status();
    hash = *std::move(made);
  }
  Result<LockedFile> file = LockedFile::open(options.file);
  if (!file.ok()) return file.status();
  const PasswordEdit edit = edit_passwords(file->text(), options.name, hash);
  if (hash.empty() && !edit.was_there) {
    return not_found(options.file + ": there is no user " + quoted(options.name));
  }
  if (Status status = file->replace(edit.text); !status.ok()) return status;
  for (const std::string& mistake : edit.mistakes) {
    std::fprintf(stderr, "mqloop: %s:%s\n", options.file.c_str(), mistake.c_str());
  }
  if (!edit.mistakes.empty()) std::fputs("mqloop: auth_file refuses the file until that is mended\n", stderr);
  return ok();
}

// Of a line that is no comment what stands before the colon.
std::optional<std::string_view> name_in(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (line.starts_with('#') || colon == std::string_view::npos) return std::nullopt;
  return line.substr(0, colon);
}

}  // namespace

Result<PasswdOptions> parse_passwd(const std::vector<std::string>& words) {
  PasswdOptions options;
  if (Status status = Parser(words).parse(options); !status.ok()) return status;
  return options;
}

PasswordEdit edit_passwords(std::string_view text, std::string_view name, std::string_view hash) {
  PasswordEdit edit;
  edit.text.reserve(text.size() + name.size() + hash.size() + 3);
  bool written = hash.empty();
  const auto write_user = [&] {
    edit.text.append(name).append(":").append(hash).append("\n");
    written = true;
  };
  for (std::size_t number = 1; !text.empty(); ++number) {
    const char* const begin = text.data();
    const std::string_view line = password::take_line(text);
    if (name_in(line) == name) {
      edit.was_there = true;
      if (!written) write_user();
      continue;
    }
    edit.text.append(begin, static_cast<std::size_t>(text.data() - begin));
    const password::Line read = password::read_line(line);
    if (read.kind == password::LineKind::kBad) {
      edit.mistakes.push_back(std::to_string(number) + ':' + std::to_string(read.mistake.column) + ": " +
                              read.mistake.what);
    }
  }
  if (written) return edit;
  if (!edit.text.empty() && edit.text.back() != '\n') edit.text += '\n';
  write_user();
  return edit;
}

int run_passwd(const PasswdOptions& options) {
  if (options.action == PasswdAction::kHelp) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  const Status status = options.action == PasswdAction::kCreate ? create(options) : change(options);
  if (status.ok()) return kExitOk;
  std::fprintf(stderr, "mqloop: %s\n", std::string(status.message()).c_str());
  return kExitFailure;
}

}  // namespace mqloop::cli
