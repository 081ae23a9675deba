// Journal: parcels on their way from the reactors to the writer, and how much there is of them. One lock for each
// parcel; the writer is woken only when it sleeps.
// Invariant: parcels of one reactor are taken in the order in which they were posted, and what a reactor has posted
// before another one could hear of it is taken no later than what that one posts because of it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "plugins/publisher_sqlite/parcel.h"

namespace mqloop::publisher_sqlite {

class Journal {
 public:
  using Parcels = std::vector<std::unique_ptr<Parcel>>;
  // Absent: until something comes.
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  explicit Journal(std::size_t most_bytes) noexcept : most_bytes_(most_bytes) {}

  // ---- any reactor
  // True when this made too much of it: whoever posts is to say so to the reactors. Used parcels of that reactor are
  // appended to `returned`, if it is given.
  bool post(std::unique_ptr<Parcel> parcel, Parcels* returned = nullptr);
  void take_returned(std::uint32_t reactor, Parcels& returned);
  // Waits until what has been posted so far is settled; false when that takes longer.
  bool wait_settled(std::chrono::milliseconds most);
  [[nodiscard]] bool is_full() const noexcept { return full_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t parcels() const noexcept { return parcels_.load(std::memory_order_relaxed); }

  // ---- the writer
  // Takes all there is; with nothing there it waits until `deadline`, or stop().
  void take(Parcels& out, Deadline deadline);
  // Takes nothing.
  void sleep(std::chrono::steady_clock::time_point until);
  // Sends them back to their reactors. `held_bytes`: what of earlier parcels still waits at the writer. True when the
  // reactors are to be told that there is room again.
  bool give_back(Parcels& used, std::size_t held_bytes);
  // Everything that has been taken is on disk, as far as anybody waits for it and it can be.
  void settled();

  // Any thread: the writer does not wait any more.
  void stop();
  [[nodiscard]] bool is_stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

 private:
  void move_returned(std::uint32_t reactor, Parcels& returned);
  void count_bytes() noexcept { bytes_.store(waiting_bytes_ + held_bytes_, std::memory_order_relaxed); }

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::condition_variable settled_;
  Parcels waiting_;
  std::vector<Parcels> returned_;  // by reactor
  std::size_t waiting_bytes_ = 0;
  std::size_t held_bytes_ = 0;
  std::uint64_t posts_ = 0;
  std::uint64_t taken_ = 0;  // of these
  std::uint64_t done_ = 0;   // of these
  bool sleeps_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> full_{false};  // changed under the lock
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> parcels_{0};
};

}  // namespace mqloop::publisher_sqlite
