#include "core/event/mailbox.h"

namespace mqloop::event {

MailNode::~MailNode() = default;

Mailbox::~Mailbox() {
  for (MailNode* node = take(); node != nullptr;) {
    const std::unique_ptr<MailNode> mail(node);
    node = node->next;
  }
}

bool Mailbox::push(std::unique_ptr<MailNode> mail) noexcept {
  MailNode* node = mail.release();
  MailNode* newest = newest_.load(std::memory_order_relaxed);
  do {
    node->next = newest;
  } while (!newest_.compare_exchange_weak(newest, node, std::memory_order_release, std::memory_order_relaxed));
  return newest == nullptr;
}

MailNode* Mailbox::take() noexcept {
  MailNode* newest = newest_.exchange(nullptr, std::memory_order_acquire);
  MailNode* oldest = nullptr;
  while (newest != nullptr) {
    MailNode* before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
  }
  return oldest;
}

std::size_t Mailbox::drain() noexcept {
  if (empty()) return 0;
  std::size_t count = 0;
  for (MailNode* node = take(); node != nullptr; ++count) {
    const std::unique_ptr<MailNode> mail(node);
    node = node->next;
    mail->run();
  }
  return count;
}

}  // namespace mqloop::event
