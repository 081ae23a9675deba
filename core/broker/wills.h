// Publishes wills (3.1.2.5), each after its client's right to publish it was asked for once more: what CONNECT allowed
// may have been taken away since, and then the will is dropped, counted and logged. A plugin may answer later; until
// then the will waits here in a slot of its own, whatever has become of its session. Part of a Shard; its thread only.
//
//   will of a session     nobody to ask: published
//     asked               allowed: published     denied: dropped     no answer yet: waits
//     waits               allowed: published     denied: dropped     the broker's end: dropped
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <mqloop/message.h>

#include "core/broker/hook_chain.h"

namespace mqloop::broker {

class Session;
class Shard;
struct StoredWill;

class Wills {
 public:
  explicit Wills(Shard& shard);
  ~Wills();

  // Takes the will of `session`, if it has one.
  void publish(Session& session);
  [[nodiscard]] bool waiting() const noexcept { return !waiting_.empty(); }
  // Nobody waits for an answer any more.
  void drop_waiting() noexcept;

 private:
  class Waiting;

  void decide(const StoredWill& will, const Principal& principal, const AccessVerdict& verdict);
  void send(const StoredWill& will);
  void refuse(const StoredWill& will, const Principal& principal, const AccessVerdict& verdict);
  void forget(const Waiting& waiting) noexcept;

  Shard& shard_;
  std::vector<std::unique_ptr<Waiting>> waiting_;
};

}  // namespace mqloop::broker
