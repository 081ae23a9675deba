// A database with a little of everything and some thousand rows, made from a seed: long rows, rows that came and went,
// pages that are free again.
#pragma once

#include <cstdint>
#include <random>
#include <set>
#include <string>

#include "core/store/store.h"

namespace mqloop::store_test {

// What `fill` made is committed and still in the log; nothing is checkpointed. Empty when all went well.
std::string fill_sample(store::Store& store, std::uint64_t seed);

// Every row of the tables that hold something, as `table|key|rest`.
std::set<std::string> rows_of(store::Store& store);

}  // namespace mqloop::store_test
