#include "core/event/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

#include "core/event/loop.h"

namespace mqloop::event {

// Waits in the queue, and then carries done() home.
class WorkerPool::Job final : public MailNode {
 public:
  Job(Loop& home, void (*work)(void*) noexcept, void (*done)(void*) noexcept, void* argument) noexcept
      : home_(home), work_(work), done_(done), argument_(argument) {}

  static void work_and_go_home(std::unique_ptr<Job> job) noexcept {
    job->work_(job->argument_);
    Loop& home = job->home_;
    home.post(std::move(job));
  }
  void run() noexcept override { done_(argument_); }

 private:
  Loop& home_;
  void (*work_)(void*) noexcept;
  void (*done_)(void*) noexcept;
  void* argument_;
};

WorkerPool::WorkerPool(std::size_t threads, std::size_t most_waiting)
    : most_threads_(std::max<std::size_t>(threads, 1)), most_waiting_(most_waiting) {}

WorkerPool::~WorkerPool() {
  stop(std::chrono::milliseconds::zero());
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

bool WorkerPool::start_threads() noexcept {
  if (!threads_.empty()) return true;
  // Signals are the program's own business: none is taken by a worker.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    threads_.reserve(most_threads_);
    while (threads_.size() < most_threads_) threads_.emplace_back([this] { serve(); });
  } catch (const std::system_error&) {
    // The system gives fewer threads: those that there are do the work.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return !threads_.empty();
}

bool WorkerPool::submit(Loop& loop, void (*work)(void*) noexcept, void (*done)(void*) noexcept,
                        void* argument) noexcept {
  auto job = std::make_unique<Job>(loop, work, done, argument);
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || jobs_.size() >= most_waiting_ || !start_threads()) return false;
    jobs_.push_back(std::move(job));
  }
  work_came_.notify_one();
  return true;
}

void WorkerPool::serve() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_came_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::unique_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    ++busy_;
    lock.unlock();
    Job::work_and_go_home(std::move(job));
    lock.lock();
    --busy_;
    work_done_.notify_all();
  }
}

bool WorkerPool::stop(std::chrono::milliseconds patience) noexcept {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  work_came_.notify_all();
  const bool all_done = work_done_.wait_for(lock, patience, [this] { return jobs_.empty() && busy_ == 0; });
  jobs_.clear();
  lock.unlock();
  if (!all_done) return false;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  return true;
}

std::size_t WorkerPool::waiting() const noexcept {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

}  // namespace mqloop::event
