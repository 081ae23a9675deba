#include "core/broker/out_box.h"

#include <utility>

#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

std::uint64_t charge_for(const OutBox::Item& item) noexcept {
  return item.message->footprint() + sizeof item + item.filter_count * sizeof(FilterId);
}

}  // namespace

OutBox::~OutBox() {
  if (charged_ != 0) account_->give_back(charged_);
}

void OutBox::run() noexcept { target_.publishing().receive(*this); }

std::uint64_t OutBox::add(Ref<const Message> message, std::span<const FilterId> filters,
                          std::uint64_t retained_sequence, bool noted, Hold hold) {
  items_.push_back({std::move(message), static_cast<std::uint32_t>(filters_.size()),
                    static_cast<std::uint32_t>(filters.size()), retained_sequence, noted, hold});
  filters_.insert(filters_.end(), filters.begin(), filters.end());
  const std::uint64_t charge = charge_for(items_.back());
  charged_ += charge;
  return charge;
}

}  // namespace mqloop::broker
