// RetainedChanges: what is to be written of retained messages: for each topic its last change, whichever reactor told
// of it. Owned by the ledger, the writer's thread. A topic that changes a thousand times between two batches is written
// once. Reactors tell of their changes at different times: the one with the highest sequence is the topic's, also when
// it has been written already and an older one comes now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mqloop/message.h>

#include "core/base/seeded_hash.h"
#include "plugins/publisher_sqlite/flat_index.h"

namespace mqloop::publisher_sqlite {

class RetainedChanges {
 public:
  struct Change {
    Ref<const Message> message;  // null: cleared
    std::string cleared_topic;
    std::uint64_t sequence = 0;
    std::uint32_t hash = 0;
    [[nodiscard]] std::string_view topic() const noexcept { return message ? message->topic() : cleared_topic; }
  };

  explicit RetainedChanges(HashSeed seed) noexcept : seed_(seed) {}

  // False: a later change of the topic is on disk.
  bool put(std::string_view topic, Ref<const Message> message, std::uint64_t sequence);
  [[nodiscard]] const std::vector<Change>& changes() const noexcept { return changes_; }
  [[nodiscard]] bool empty() const noexcept { return changes_.empty(); }
  // They are on disk.
  void written();
  // Of messages that wait here.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  // Changes that were replaced before they were written.
  [[nodiscard]] std::uint64_t coalesced() const noexcept { return coalesced_; }

 private:
  // Of so many changes at least is known which was the last of its topic. Reactors are apart by a turn.
  static constexpr std::size_t kRemembered = 65536;

  [[nodiscard]] bool is_newer(std::uint64_t hash, std::uint64_t sequence) const;

  const HashSeed seed_;
  std::vector<Change> changes_;
  FlatIndex index_;
  // Topics by their hash of 64 bits, whose seed nobody knows: that two of them agree is left out of account.
  std::unordered_map<std::uint64_t, std::uint64_t> recent_;
  std::unordered_map<std::uint64_t, std::uint64_t> older_;
  std::size_t bytes_ = 0;
  std::uint64_t coalesced_ = 0;
};

}  // namespace mqloop::publisher_sqlite
