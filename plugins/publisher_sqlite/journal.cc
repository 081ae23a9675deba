#include "plugins/publisher_sqlite/journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace mqloop::publisher_sqlite {

void Journal::move_returned(std::uint32_t reactor, Parcels& returned) {
  if (reactor >= returned_.size()) return;
  std::move(returned_[reactor].begin(), returned_[reactor].end(), std::back_inserter(returned));
  returned_[reactor].clear();
}

void Journal::take_returned(std::uint32_t reactor, Parcels& returned) {
  const std::lock_guard lock(mutex_);
  move_returned(reactor, returned);
}

bool Journal::post(std::unique_ptr<Parcel> parcel, Parcels* returned) {
  bool wake = false;
  bool is_too_much = false;
  {
    const std::lock_guard lock(mutex_);
    if (returned != nullptr) move_returned(parcel->reactor(), *returned);
    waiting_bytes_ += parcel->bytes();
    count_bytes();
    waiting_.push_back(std::move(parcel));
    parcels_.store(waiting_.size(), std::memory_order_relaxed);
    ++posts_;
    wake = std::exchange(sleeps_, false);
    if (waiting_bytes_ + held_bytes_ > most_bytes_ && !full_.load(std::memory_order_relaxed)) {
      full_.store(true, std::memory_order_release);
      is_too_much = true;
    }
  }
  if (wake) posted_.notify_one();
  return is_too_much;
}

bool Journal::wait_settled(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  const std::uint64_t all = posts_;
  return settled_.wait_for(lock, most, [&] { return done_ >= all; });
}

void Journal::take(Parcels& out, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto is_due = [this] { return !waiting_.empty() || stopping_.load(std::memory_order_relaxed); };
  while (!is_due()) {
    sleeps_ = true;
    if (!deadline) {
      posted_.wait(lock);
    } else if (posted_.wait_until(lock, *deadline) == std::cv_status::timeout) {
      break;
    }
  }
  sleeps_ = false;
  out.swap(waiting_);
  parcels_.store(0, std::memory_order_relaxed);
  held_bytes_ += std::exchange(waiting_bytes_, 0);
  taken_ = posts_;
}

void Journal::sleep(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  posted_.wait_until(lock, until, [this] { return stopping_.load(std::memory_order_relaxed); });
}

bool Journal::give_back(Parcels& used, std::size_t held_bytes) {
  bool has_room = false;
  {
    const std::lock_guard lock(mutex_);
    for (std::unique_ptr<Parcel>& parcel : used) {
      const std::uint32_t reactor = parcel->reactor();
      if (returned_.size() <= reactor) returned_.resize(reactor + 1);
      returned_[reactor].push_back(std::move(parcel));
    }
    held_bytes_ = held_bytes;
    count_bytes();
    if (waiting_bytes_ + held_bytes_ < most_bytes_ / 2 && full_.load(std::memory_order_relaxed)) {
      full_.store(false, std::memory_order_release);
      has_room = true;
    }
  }
  used.clear();
  return has_room;
}

void Journal::settled() {
  {
    const std::lock_guard lock(mutex_);
    if (done_ == taken_) return;
    done_ = taken_;
  }
  settled_.notify_all();
}

void Journal::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_.store(true, std::memory_order_release);
  }
  posted_.notify_one();
}

}  // namespace mqloop::publisher_sqlite
