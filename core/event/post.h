// post(loop, task): calls `task` on the loop's thread, in its next turn, after what the same thread posted before. Any
// thread.
#pragma once

#include <memory>
#include <utility>

#include "core/event/loop.h"

namespace mqloop::event {

template <typename Task>
void post(Loop& loop, Task task) {
  struct Mail final : MailNode {
    explicit Mail(Task given) : task(std::move(given)) {}
    void run() noexcept override { task(); }
    Task task;
  };
  loop.post(std::make_unique<Mail>(std::move(task)));
}

}  // namespace mqloop::event
