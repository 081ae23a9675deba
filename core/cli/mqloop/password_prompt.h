// Asks a person for a password on a terminal, without showing it. Whatever ends the question, a signal included, finds
// the terminal as it was. One thread; signals that would stop or end the program are taken through a descriptor while
// the question is open, and given to the program again afterwards.
#pragma once

#include <string>

#include <mqloop/status.h>

namespace mqloop::cli {

// A line without its end. kAborted when input ended; a signal that ends programs ends this one.
[[nodiscard]] Result<std::string> ask_password(int terminal, const std::string& question);

// The first line of what is no terminal: a pipe or a file.
[[nodiscard]] Result<std::string> read_password_line(int input);

}  // namespace mqloop::cli
