// `mqloop db import`: a new database out of what `mqloop db export` wrote, or out of a mosquitto.db. Everything or
// nothing: what cannot be taken ends it, and there is no database then.
#pragma once

#include <cstdint>
#include <istream>
#include <string>

#include "core/store/database_lock.h"
#include "core/store/store.h"

namespace mqloop::cli {

struct ImportCounts {
  std::uint64_t sessions = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t retained = 0;
  std::uint64_t left_out = 0;  // what another broker's file holds and nobody can use
};

// `from` may be `-`.
store::Outcome import_database(const std::string& path, const std::string& from);

// Rows into `store`, within a transaction of the caller's.
store::Outcome import_json(std::istream& from, store::Store& store, ImportCounts& counts);
store::Outcome import_mosquitto(std::istream& from, store::Store& store, ImportCounts& counts);

}  // namespace mqloop::cli
