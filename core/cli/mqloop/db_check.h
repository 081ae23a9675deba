// `mqloop db check`: whether SQLite's structures are whole, and whether the rows agree with each other and with what a
// broker writes. Reads one state of the database, whatever a broker does meanwhile.
#pragma once

#include <string>

#include "core/store/outcome.h"

namespace mqloop::cli {

// Prints a line for each fault that is found, or one that says what there is. An Outcome that is not ok(): it could
// not be looked at.
store::Outcome check_database(const std::string& path, bool& sound);

}  // namespace mqloop::cli
