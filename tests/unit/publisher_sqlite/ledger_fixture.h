// A ledger with a database of maps under it, and what it has told.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "plugins/publisher_sqlite/ledger.h"
#include "tests/unit/publisher_sqlite/fake_rows.h"
#include "tests/unit/publisher_sqlite/script.h"

namespace mqloop::publisher_sqlite_test {

class LedgerFixture {
 public:
  publisher_sqlite::Ledger ledger{HashSeed{1, 2}};
  FakeRows rows;
  store::Progress progress;
  std::map<std::uint32_t, std::uint64_t> complete;  // by source
  std::uint64_t called = 0;                         // reactors, at the last tell()

  void feed(Script& script) {
    ledger.feed(*script.parcel);
    script.parcel->clear();
  }
  void feed(Script&& script) { feed(script); }

  // One try; what became of it.
  bool write() {
    rows.begin();
    store::Progress next = progress;
    ++next.batch;
    if (!ledger.write(rows, next).ok()) {
      rows.roll_back();
      ledger.not_written();
      return false;
    }
    rows.commit();
    ledger.written();
    progress = next;
    return true;
  }
  // As the writer does it; true when a batch was needed.
  bool pass() {
    const bool had_to = ledger.must_write();
    if (had_to) write();
    tell();
    return had_to;
  }
  void tell() {
    called = 0;
    ledger.complete([this](std::uint32_t source, std::uint64_t number, std::uint64_t reactors) {
      complete[source] = number;
      called |= reactors;
    });
  }
  // What rides along too.
  void write_all() {
    while (ledger.has_changes()) write();
    tell();
  }
  [[nodiscard]] const FakeDatabase& database() const { return rows.committed; }
};

}  // namespace mqloop::publisher_sqlite_test
