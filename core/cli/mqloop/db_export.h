// `mqloop db export`: a database as lines of JSON, one for each row, in the order in which `mqloop db import` wants
// them. mqloop-db(1) documents the fields. Reads one state of the database, whatever a broker does meanwhile.
#pragma once

#include <cstdio>
#include <string>

#include "core/store/outcome.h"

namespace mqloop::cli {

store::Outcome export_database(const std::string& path, std::FILE* out);

}  // namespace mqloop::cli
