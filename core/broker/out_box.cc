#include "core/broker/out_box.h"

#include <utility>

#include "core/broker/shard.h"

namespace mqloop::broker {

OutBox::~OutBox() {
  if (charged_ != 0) account_->give_back(charged_);
}

void OutBox::run() noexcept { target_.publishing().receive(*this); }

// What the publisher was asked about stays the message that it was shown.
std::uint64_t OutBox::add(RoutedMessage& message, std::span<const FilterId> filters, std::uint64_t retained_sequence,
                          bool noted, Hold hold) {
  const bool copied = !noted && MessageCopies::are_for(message);
  items_.push_back({copied ? nullptr : message.message(), copied ? copies_.add(message) : 0,
                    static_cast<std::uint32_t>(filters_.size()), static_cast<std::uint32_t>(filters.size()),
                    retained_sequence, noted, hold});
  const Item& item = items_.back();
  filters_.insert(filters_.end(), filters.begin(), filters.end());
  const std::size_t size = copied ? copies_.footprint(item.copy) : item.message->footprint();
  const std::uint64_t charge = size + sizeof item + filters.size_bytes();
  charged_ += charge;
  return charge;
}

}  // namespace mqloop::broker
