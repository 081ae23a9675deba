#include "core/broker/out_box.h"

#include "core/broker/shard.h"

namespace mqloop::broker {

void OutBox::run() noexcept { target_.publishing().receive(*this); }

void OutBox::add(Ref<const Message> message, std::span<const FilterId> filters, std::uint64_t retained_sequence,
                 std::uint64_t sequence, bool hold) {
  items_.push_back({std::move(message), static_cast<std::uint32_t>(filters_.size()),
                    static_cast<std::uint32_t>(filters.size()), retained_sequence, sequence, hold});
  filters_.insert(filters_.end(), filters.begin(), filters.end());
}

}  // namespace mqloop::broker
