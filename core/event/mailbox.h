// What other threads send to a loop: a lock-free list with many senders and one receiver. Any thread pushes; only the
// loop's own thread drains. What one sender pushed runs in the order in which it pushed it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace mqloop::event {

// One piece of mail. It is deleted after it has run, or unrun when the mailbox goes first: a node that carries
// something (a connection on its way) must let go of it in its destructor.
struct MailNode {
  MailNode() noexcept = default;
  MailNode(const MailNode&) = delete;
  MailNode& operator=(const MailNode&) = delete;
  virtual ~MailNode();
  virtual void run() noexcept = 0;

  MailNode* next = nullptr;  // the mailbox's
};

class Mailbox {
 public:
  Mailbox() noexcept = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();

  // Any thread. True when the box was empty: then, and only then, the receiver must be woken.
  bool push(std::unique_ptr<MailNode> mail) noexcept;
  // Runs what is there now and returns how many that were. What arrives meanwhile waits for the next call.
  std::size_t drain() noexcept;
  // Any thread; true may be out of date at once.
  [[nodiscard]] bool empty() const noexcept { return newest_.load(std::memory_order_acquire) == nullptr; }

 private:
  // Takes the whole list, oldest first.
  MailNode* take() noexcept;

  std::atomic<MailNode*> newest_{nullptr};
};

}  // namespace mqloop::event
