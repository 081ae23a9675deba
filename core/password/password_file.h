// A password file, the format of mosquitto: a line is NAME:HASH (see password_hash.h), empty, or a comment that begins
// with `#`. Read whole or not at all: one bad line, and there is no file (CVE-2018-12551: what a parser makes of a bad
// line must not become a user). Immutable once read; any thread.
//
// Memory: the text itself and 16 bytes a user; hashes are read again when they are needed, which costs nothing beside
// computing one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/status.h>

#include "core/password/password_hash.h"

namespace mqloop::password {

// ---- one line ------------------------------------------------------------------------------------------------------

// What is wrong, and where: both count from 1, the column in bytes. `what` quotes a name at most, never what could be
// a password.
struct Mistake {
  std::size_t line = 0;
  std::size_t column = 0;
  std::string what;
};

// The first mistakes of a file, in the order of its lines, and how many there are.
struct Mistakes {
  static constexpr std::size_t kMostTold = 19;
  std::vector<Mistake> told;
  std::size_t count = 0;
  std::size_t line_left_out = 0;  // where the first that is not told is
};

// A line for each, `path:line:column: what`, and one for those that are not told.
[[nodiscard]] std::string text_of(const Mistakes& mistakes, std::string_view path);

// Why nobody can have this name; empty when somebody can: no colon, no control characters, UTF-8, no `#` at the
// beginning, at most 65,535 bytes.
[[nodiscard]] std::string fault_of_name(std::string_view name);

enum class LineKind : std::uint8_t { kNothing, kUser, kBad };

struct Line {
  LineKind kind = LineKind::kNothing;
  std::string_view name;  // of kUser; of kBad what stands before the colon, if there is one
  std::string_view hash;  // of kUser, as text
  Mistake mistake;        // of kBad, without the line's number
};

// `text` is one line without its end.
[[nodiscard]] Line read_line(std::string_view text);

// Cuts the next line off the front of `rest`: without its end, which may be missing at the end of the text.
[[nodiscard]] std::string_view take_line(std::string_view& rest) noexcept;

// ---- the file ------------------------------------------------------------------------------------------------------

class PasswordFile {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;

  // Nobody.
  PasswordFile() = default;

  // The file is to be used only when there are no mistakes.
  static PasswordFile parse(std::string text, Mistakes& mistakes);

  [[nodiscard]] std::size_t size() const noexcept { return users_.size(); }
  // Memory: about the text's size, and 16 a user.
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.capacity() + users_.capacity() * sizeof(User); }
  // Nothing when there is no such user.
  [[nodiscard]] std::optional<PasswordHash> find(std::string_view name) const;
  // Any user's, chosen by `number`: what checking the password of somebody unknown shall cost. So who measures sees
  // strangers cost what members cost, in the proportions of the file. The default cost when there is nobody.
  [[nodiscard]] PasswordHash stand_in(std::uint64_t number) const;

 private:
  struct User {
    std::size_t begin;  // of the name, in text_
    std::uint32_t name_size;
    std::uint32_t hash_size;
  };
  [[nodiscard]] std::string_view name_of(const User& user) const noexcept {
    return std::string_view(text_).substr(user.begin, user.name_size);
  }
  [[nodiscard]] PasswordHash hash_of(const User& user) const;
  void find_duplicates(Mistakes& mistakes) const;
  [[nodiscard]] std::size_t line_number(const User& user) const noexcept;

  std::string text_;
  std::vector<User> users_;  // by name
};

struct LoadedPasswordFile {
  PasswordFile users;  // to be used only when there are no mistakes
  Mistakes mistakes;
  bool others_may_read = false;  // the mode gives everybody on this machine the right to
};

// Reads and parses. kNotFound when there is no such file.
[[nodiscard]] Result<LoadedPasswordFile> load_password_file(const std::string& path);

}  // namespace mqloop::password
