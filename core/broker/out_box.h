// What one reactor has for another at the end of a turn: the messages that matched filters there, in order. One
// allocation a turn and pair, not one a message; pushed whole onto the target's mailbox, so that order is kept for each
// pair. Filled by the source, then owned by the mailbox and read by the target. What it holds is charged to the
// source's account for the target, and given back when the box is gone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mqloop/message.h>
#include <mqloop/publisher.h>
#include <mqloop/ref.h>

#include "core/broker/credit.h"
#include "core/broker/route_table.h"
#include "core/event/mailbox.h"

namespace mqloop::broker {

class Shard;

class OutBox final : public event::MailNode {
 public:
  struct Item {
    Ref<const Message> message;
    std::uint32_t first_filter;
    std::uint32_t filter_count;
    std::uint64_t retained_sequence;  // of a retained publish, else 0
    bool noted;                       // the publisher wants to hear of its recipients
    Hold hold;
  };

  // `account`: the source's for `target`.
  OutBox(Shard& target, std::uint32_t source, Ref<CreditAccount> account)
      : target_(target), source_(source), account_(std::move(account)) {}
  ~OutBox() override;
  void run() noexcept override;

  // Returns what is to be charged for it.
  std::uint64_t add(Ref<const Message> message, std::span<const FilterId> filters, std::uint64_t retained_sequence,
                    bool noted, Hold hold);
  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }

  [[nodiscard]] std::uint32_t source() const noexcept { return source_; }
  // 0: the publisher wants to hear of nothing in it.
  [[nodiscard]] std::uint64_t turn() const noexcept { return turn_; }
  void set_turn(std::uint64_t turn) noexcept { turn_ = turn; }
  [[nodiscard]] std::vector<Item>& items() noexcept { return items_; }
  [[nodiscard]] std::span<const FilterId> filters_of(const Item& item) const noexcept {
    return std::span(filters_).subspan(item.first_filter, item.filter_count);
  }

 private:
  Shard& target_;
  std::uint32_t source_;
  Ref<CreditAccount> account_;
  std::uint64_t charged_ = 0;
  std::uint64_t turn_ = 0;
  std::vector<Item> items_;
  std::vector<FilterId> filters_;
};

}  // namespace mqloop::broker
