// Which table a record that was found somewhere belongs to, and the record as a row of a new database. Every table of
// the schema has another number or other types of columns, so that a record tells by itself.
#pragma once

#include <cstdint>
#include <span>

#include "core/store/record.h"
#include "core/store/salvage.h"
#include "core/store/store.h"

namespace mqloop::store {

class RowSaver {
 public:
  RowSaver(Store& store, SalvageCounts& counts) : store_(store), counts_(counts) {}

  // Within a transaction of the caller's. What is no row of ours, or not well-formed, is dropped.
  Outcome take(const Record& record);
  // After all: rows that refer to others that were lost go as well.
  Outcome finish();

 private:
  using Values = std::span<const Value>;
  Outcome take_table(const Record& record);
  Outcome take_index(Values values);
  Outcome take_session(std::uint64_t number, Values values);
  Outcome take_message(std::uint64_t number, Values values);
  Outcome take_subscription(Values values);
  Outcome take_delivery(Values values);
  Outcome take_retained(Values values);
  Outcome take_pair(Values values);
  Outcome take_meta(std::string_view key, std::int64_t value);
  Outcome holder_of(std::string_view client_id, std::uint64_t& number);
  Outcome drop() {
    ++counts_.dropped;
    return {};
  }

  Store& store_;
  SalvageCounts& counts_;
};

}  // namespace mqloop::store
