#include "core/broker/shared_mail.h"

#include <utility>

#include "core/broker/connection.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

struct Receiver {
  Shard& shard;

  void operator()(SharedJoin& item) const { shard.shared_groups().join(item); }
  void operator()(SharedJoined& item) const {
    if (Connection* connection = shard.find(item.asker)) connection->shared_subscription_stands();
  }
  void operator()(SharedLeave& item) const { shard.shared_groups().leave(item); }
  void operator()(SharedOffer& item) const { shard.shared_members().offered(std::move(item)); }
  void operator()(SharedReturn& item) const { shard.shared_groups().returned(std::move(item.offer)); }
  void operator()(SharedFinished& item) const { shard.shared_groups().finished(item); }
};

}  // namespace

class SharedMail::Box final : public event::MailNode {
 public:
  explicit Box(Shard& target) : target_(target) {}
  void run() noexcept override {
    for (SharedItem& item : items_) std::visit(Receiver{target_}, item);
  }
  void add(SharedItem item) {
    // Acknowledgements come in rows.
    auto* finished = std::get_if<SharedFinished>(&item);
    auto* last = finished == nullptr || items_.empty() ? nullptr : std::get_if<SharedFinished>(&items_.back());
    if (last != nullptr && last->member == finished->member) {
      last->count += finished->count;
      return;
    }
    items_.push_back(std::move(item));
  }

 private:
  Shard& target_;
  std::vector<SharedItem> items_;
};

SharedMail::SharedMail(Shard& shard, std::uint32_t reactors) : shard_(shard), boxes_(reactors) {}
SharedMail::~SharedMail() = default;

void SharedMail::send(std::uint32_t reactor, SharedItem item) {
  if (reactor == shard_.index()) {
    std::visit(Receiver{shard_}, item);
    return;
  }
  if (!boxes_[reactor]) boxes_[reactor] = std::make_unique<Box>(shard_.peer(reactor));
  boxes_[reactor]->add(std::move(item));
  anything_ = true;
  shard_.loop().request_turn();
}

void SharedMail::post() {
  if (!std::exchange(anything_, false)) return;
  for (std::uint32_t reactor = 0; reactor != boxes_.size(); ++reactor) {
    if (boxes_[reactor]) shard_.peer(reactor).loop().post(std::move(boxes_[reactor]));
  }
}

}  // namespace mqloop::broker
