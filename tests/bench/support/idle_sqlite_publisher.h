// publisher_sqlite for figures of what it does not keep: its reactor's side alone, without a writer or a file. For
// programs that link tests/support/publisher_sqlite.cc.
#pragma once

#include <cstddef>
#include <memory>

#include <mqloop/publisher.h>

#include "plugins/publisher_sqlite/sqlite_shard.h"

namespace mqloop::bench {

class IdleSqlitePublisher final : public Publisher {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {true, false, false, true}; }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override {
    return std::make_unique<publisher_sqlite::SqliteShard>(rules_, journal_, notices_, reactor, sink);
  }
  void close() noexcept override {}

 private:
  publisher_sqlite::TopicRules rules_;
  publisher_sqlite::Journal journal_{std::size_t{64} << 20};
  publisher_sqlite::Notices notices_;
};

}  // namespace mqloop::bench
