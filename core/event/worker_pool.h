// Threads for work that may block: disks, name servers, password hashes. The queue is bounded; the threads are started
// by the first work. Shared by all loops; any thread may submit. Stop it, and destroy it,
// before the loops go.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <mqloop/export.h>

namespace mqloop::event {

class Loop;

class MQLOOP_API WorkerPool {
 public:
  WorkerPool(std::size_t threads, std::size_t most_waiting);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // Waits for work that is being done, however long it takes; see stop().
  ~WorkerPool();

  // Calls work(argument) on a worker, then done(argument) on `loop`. False, and nothing will be called, when as much
  // waits as may wait or the pool has been stopped.
  bool submit(Loop& loop, void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept;

  // Takes no more work, does what waits until `patience` has passed, and joins the threads when all is done. True
  // when all was done; false when work was dropped unstarted (its done() is never called) or is still being done.
  bool stop(std::chrono::milliseconds patience) noexcept;

  [[nodiscard]] std::size_t waiting() const noexcept;

 private:
  class Job;
  bool start_threads() noexcept;
  void serve() noexcept;

  const std::size_t most_threads_;
  const std::size_t most_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable work_came_;
  std::condition_variable work_done_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t busy_ = 0;
  bool stopped_ = false;
};

}  // namespace mqloop::event
