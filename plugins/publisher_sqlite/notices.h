// Notices: what the writer has to say to the reactors: which turns are complete, whether there is trouble; and that
// the journal is full, or is not any more. It writes them down where everybody can read, and calls those who have to
// know, each with one post however much there is to say; a reactor that was called already and has not come yet is not
// called again. Shards sit here from enter() to leave(), both on their reactor's thread; after leave() nobody calls the
// reactor.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include <mqloop/publisher.h>
#include <mqloop/reactor_api.h>
#include <mqloop/reason_code.h>

namespace mqloop::publisher_sqlite {

class Notices {
 public:
  static constexpr std::uint64_t kEverybody = ~std::uint64_t{0};

  // Who is called, on his reactor's thread.
  class Reader {
   public:
    virtual void read(const Notices& notices) noexcept = 0;

   protected:
    ~Reader() = default;
  };

  void enter(ReactorApi& reactor, Reader& reader);
  void leave(std::uint32_t index) noexcept;

  // ---- any thread
  void set_complete(std::uint32_t source, std::uint64_t number) noexcept {
    complete_[source].store(number, std::memory_order_release);
  }
  void set_trouble(ReasonCode reason) noexcept { trouble_.store(reason, std::memory_order_release); }
  // Bit i of `reactors`: reactor i has to know.
  void call(std::uint64_t reactors) noexcept;

  [[nodiscard]] std::uint64_t complete_through(std::uint32_t source) const noexcept {
    return complete_[source].load(std::memory_order_acquire);
  }
  [[nodiscard]] ReasonCode trouble() const noexcept { return trouble_.load(std::memory_order_acquire); }
  // One more than the highest that has entered.
  [[nodiscard]] std::uint32_t reactors() const noexcept { return reactors_.load(std::memory_order_acquire); }

 private:
  struct Seat {
    std::mutex mutex;               // guards the reactor
    ReactorApi* reactor = nullptr;  // null: nobody sits here
    Reader* reader = nullptr;       // touched on its reactor's thread
    std::atomic<bool> called{false};
    const Notices* notices = nullptr;
  };
  static void come(void* seat) noexcept;

  std::array<Seat, kMostReactors> seats_;
  std::array<std::atomic<std::uint64_t>, kMostReactors> complete_{};
  std::atomic<ReasonCode> trouble_{ReasonCode::kSuccess};
  std::atomic<std::uint32_t> reactors_{0};
};

}  // namespace mqloop::publisher_sqlite
