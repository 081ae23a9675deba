// The locks of a structure that is read at every message and changed now and then: one small mutex per reader, each on
// a cache line of its own. A reader takes its own, which nobody else wants but a writer (12 ns); a writer takes all of
// them in index order. Any thread may use any index.
// A writer that needs several holds gives waiting readers the chance to go first between two of them.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <memory>

namespace mqloop::broker {

// Spins a little before it sleeps: what it guards is held for microseconds at most.
class AdaptiveMutex {
 public:
  AdaptiveMutex() noexcept = default;
  ~AdaptiveMutex() { pthread_mutex_destroy(&mutex_); }
  AdaptiveMutex(const AdaptiveMutex&) = delete;
  AdaptiveMutex& operator=(const AdaptiveMutex&) = delete;

  void lock() noexcept { pthread_mutex_lock(&mutex_); }
  bool try_lock() noexcept { return pthread_mutex_trylock(&mutex_) == 0; }
  void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
};

class ReaderLocks {
  struct alignas(64) Line {
    AdaptiveMutex mutex;
    std::atomic<unsigned> waiting{0};
  };

 public:
  explicit ReaderLocks(unsigned readers) : lines_(std::make_unique<Line[]>(readers)), size_(readers) {}

  [[nodiscard]] unsigned size() const noexcept { return size_; }

  class Read {
   public:
    Read(ReaderLocks& locks, unsigned reader) noexcept : line_(locks.lines_[reader]) {
      if (line_.mutex.try_lock()) return;
      line_.waiting.fetch_add(1, std::memory_order_relaxed);
      line_.mutex.lock();
      line_.waiting.fetch_sub(1, std::memory_order_relaxed);
    }
    ~Read() { line_.mutex.unlock(); }
    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;

   private:
    Line& line_;
  };

  class Write {
   public:
    explicit Write(ReaderLocks& locks) noexcept : locks_(locks) {
      for (unsigned i = 0; i < locks_.size_; ++i) locks_.lines_[i].mutex.lock();
    }
    ~Write() {
      for (unsigned i = locks_.size_; i > 0; --i) locks_.lines_[i - 1].mutex.unlock();
    }
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;

   private:
    ReaderLocks& locks_;
  };

  // Between two holds: mutexes are not fair, and a writer in a hurry would keep a woken reader from ever getting in.
  void let_readers_in() const noexcept;

 private:
  std::unique_ptr<Line[]> lines_;
  unsigned size_;
};

}  // namespace mqloop::broker
