// The place of the database: whether it can be there at all, found out before anything depends on it.
#pragma once

#include <string>

#include <mqloop/status.h>

namespace mqloop::publisher_sqlite {

// The folder takes a new file, what is written to it reaches the disk, and a database that is there is ours alone.
// Leaves nothing behind.
Status check_place(const std::string& database_path);

}  // namespace mqloop::publisher_sqlite
