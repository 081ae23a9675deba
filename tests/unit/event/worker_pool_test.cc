#include "core/event/worker_pool.h"

#include <csignal>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include <CppUTest/TestHarness.h>

#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using std::chrono::milliseconds;
using testing::TestReactor;

// Holds up every worker that enters until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void wait_inside(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return inside_ >= count; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  bool open_ = false;
};

struct Task {
  Task() = default;
  explicit Task(Gate& at) : gate(&at) {}
  Gate* gate = nullptr;
  std::thread::id worked_on, done_on;
  bool done = false;
  bool signals_blocked = false;

  static void work(void* self) noexcept {
    auto* task = static_cast<Task*>(self);
    task->worked_on = std::this_thread::get_id();
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    task->signals_blocked = sigismember(&blocked, SIGTERM) == 1;
    if (task->gate != nullptr) task->gate->pass();
  }
  static void finish(void* self) noexcept {
    auto* task = static_cast<Task*>(self);
    task->done_on = std::this_thread::get_id();
    task->done = true;
  }
};

}  // namespace

TEST_GROUP(ThreadedWorkerPool) {
  WorkerPool pool{2, 4};
  TestReactor reactor{nullptr, &pool};
  Gate gate;
  void teardown() override {
    gate.open();
    pool.stop(milliseconds(5000));
  }
};

TEST(ThreadedWorkerPool, works_elsewhere_and_is_done_at_home) {
  Task task;
  CHECK(reactor->submit(Task::work, Task::finish, &task));
  CHECK(reactor.turn_until([&] { return task.done; }));
  CHECK(task.worked_on != std::this_thread::get_id());
  CHECK(task.done_on == std::this_thread::get_id());
  CHECK(task.signals_blocked);
}

TEST(ThreadedWorkerPool, works_on_as_many_threads_as_it_was_given) {
  Task tasks[2] = {Task(gate), Task(gate)};
  for (Task& task : tasks) CHECK(reactor->submit(Task::work, Task::finish, &task));
  gate.wait_inside(2);
  gate.open();
  CHECK(reactor.turn_until([&] { return tasks[0].done && tasks[1].done; }));
  CHECK(tasks[0].worked_on != tasks[1].worked_on);
}

TEST(ThreadedWorkerPool, refuses_more_than_may_wait) {
  Task busy[2] = {Task(gate), Task(gate)};
  for (Task& task : busy) CHECK(reactor->submit(Task::work, Task::finish, &task));
  gate.wait_inside(2);
  Task waiting[4];
  for (Task& task : waiting) CHECK(reactor->submit(Task::work, Task::finish, &task));
  Task refused;
  CHECK(!reactor->submit(Task::work, Task::finish, &refused));
  LONGS_EQUAL(4, pool.waiting());
  gate.open();
  CHECK(reactor.turn_until([&] { return waiting[0].done && waiting[1].done && waiting[2].done && waiting[3].done; }));
  CHECK(!refused.done);
}

TEST(ThreadedWorkerPool, stop_finishes_what_waits_and_then_refuses) {
  Task tasks[4];
  for (Task& task : tasks) CHECK(reactor->submit(Task::work, Task::finish, &task));
  CHECK(pool.stop(milliseconds(5000)));
  for (const Task& task : tasks) CHECK(task.worked_on != std::thread::id());
  CHECK(!reactor->submit(Task::work, Task::finish, &tasks[0]));
  CHECK(reactor.turn_until([&] { return tasks[3].done; }));  // what was done is still told
}

TEST(ThreadedWorkerPool, stop_does_not_wait_longer_than_asked) {
  Task busy[2] = {Task(gate), Task(gate)};
  for (Task& task : busy) CHECK(reactor->submit(Task::work, Task::finish, &task));
  gate.wait_inside(2);
  Task never;
  CHECK(reactor->submit(Task::work, Task::finish, &never));
  CHECK(!pool.stop(milliseconds(20)));
  LONGS_EQUAL(0, pool.waiting());
  gate.open();
  CHECK(reactor.turn_until([&] { return busy[0].done && busy[1].done; }));
  CHECK(never.worked_on == std::thread::id());
  CHECK(!never.done);
}

TEST(ThreadedWorkerPool, one_that_was_never_used_has_no_threads_to_stop) { CHECK(pool.stop(milliseconds(0))); }

}  // namespace mqloop::event
