#include "plugins/publisher_sqlite/notices.h"

#include <bit>

namespace mqloop::publisher_sqlite {

void Notices::enter(ReactorApi& reactor, Reader& reader) {
  Seat& seat = seats_[reactor.index()];
  seat.reader = &reader;
  seat.notices = this;
  std::uint32_t known = reactors_.load(std::memory_order_relaxed);
  while (known <= reactor.index() && !reactors_.compare_exchange_weak(known, reactor.index() + 1)) {
  }
  const std::lock_guard lock(seat.mutex);
  seat.reactor = &reactor;
}

void Notices::leave(std::uint32_t index) noexcept {
  Seat& seat = seats_[index];
  seat.reader = nullptr;
  const std::lock_guard lock(seat.mutex);
  seat.reactor = nullptr;
}

void Notices::call(std::uint64_t reactors) noexcept {
  const std::uint32_t known = this->reactors();
  if (known < kMostReactors) reactors &= (std::uint64_t{1} << known) - 1;
  for (; reactors != 0; reactors &= reactors - 1) {
    Seat& seat = seats_[static_cast<std::size_t>(std::countr_zero(reactors))];
    if (seat.called.exchange(true, std::memory_order_acq_rel)) continue;
    const std::lock_guard lock(seat.mutex);
    if (seat.reactor != nullptr) seat.reactor->post(&Notices::come, &seat);
  }
}

void Notices::come(void* seat) noexcept {
  Seat& own = *static_cast<Seat*>(seat);
  // What is written down from here on has a call of its own; all that was is seen.
  own.called.exchange(false, std::memory_order_acq_rel);
  if (own.reader != nullptr) own.reader->read(*own.notices);
}

}  // namespace mqloop::publisher_sqlite
