#include "core/broker/shared_mail.h"

#include <utility>

#include "core/broker/connection.h"
#include "core/broker/message_copies.h"
#include "core/broker/routed_message.h"
#include "core/broker/shard.h"

namespace mqloop::broker {

namespace {

struct Receiver {
  Shard& shard;
  const MessageCopies* copies;  // of the box; null: an offer never comes without one

  void operator()(SharedJoin& item) const { shard.shared_groups().join(item); }
  void operator()(SharedJoined& item) const {
    if (Connection* connection = shard.find(item.asker)) connection->shared_subscription_stands();
  }
  void operator()(SharedLeave& item) const { shard.shared_groups().leave(item); }
  void operator()(SharedOffer& item) const {
    RoutedMessage message = item.message ? RoutedMessage(item.message) : RoutedMessage((*copies)[item.copy]);
    shard.shared_members().offered(std::move(item), message);
  }
  void operator()(SharedReturn& item) const { shard.shared_groups().returned(std::move(item.offer)); }
  void operator()(SharedFinished& item) const { shard.shared_groups().finished(item); }
};

}  // namespace

class SharedMail::Box final : public event::MailNode {
 public:
  explicit Box(Shard& target) : target_(target) {}
  void run() noexcept override {
    for (SharedItem& item : items_) std::visit(Receiver{target_, &copies_}, item);
  }
  void add(SharedItem item) {
    if (const auto* finished = std::get_if<SharedFinished>(&item)) {
      if (counts_with_last(*finished)) return;
    } else if (const auto* returned = std::get_if<SharedReturn>(&item)) {
      keep(*returned->offer.name);
    }
    items_.push_back(std::move(item));
  }
  void add(SharedOffer offer, RoutedMessage& message) {
    keep(*offer.name);
    if (!offer.message) {
      if (MessageCopies::are_for(message)) {
        offer.copy = copies_.add(message);
      } else {
        offer.message = message.message();
      }
    }
    items_.push_back(std::move(offer));
  }

 private:
  // Acknowledgements come in rows.
  bool counts_with_last(const SharedFinished& finished) noexcept {
    auto* last = items_.empty() ? nullptr : std::get_if<SharedFinished>(&items_.back());
    if (last == nullptr || last->member != finished.member) return false;
    last->count += finished.count;
    return true;
  }
  // One reference for all that come in a row: every reactor counts those of the same name.
  void keep(const SharedName& name) {
    if (names_.empty() || names_.back().get() != &name) names_.push_back(Ref<const SharedName>::share(&name));
  }

  Shard& target_;
  std::vector<SharedItem> items_;
  std::vector<Ref<const SharedName>> names_;
  MessageCopies copies_;
};

SharedMail::SharedMail(Shard& shard, std::uint32_t reactors) : shard_(shard), boxes_(reactors) {}
SharedMail::~SharedMail() = default;

void SharedMail::send(std::uint32_t reactor, SharedItem item) {
  if (reactor == shard_.index()) {
    std::visit(Receiver{shard_, nullptr}, item);
    return;
  }
  box_for(reactor).add(std::move(item));
}

void SharedMail::offer(std::uint32_t reactor, SharedOffer offer, RoutedMessage& message) {
  box_for(reactor).add(std::move(offer), message);
}

SharedMail::Box& SharedMail::box_for(std::uint32_t reactor) {
  if (!boxes_[reactor]) boxes_[reactor] = std::make_unique<Box>(shard_.peer(reactor));
  anything_ = true;
  shard_.loop().request_turn();
  return *boxes_[reactor];
}

void SharedMail::post() {
  if (!std::exchange(anything_, false)) return;
  for (std::uint32_t reactor = 0; reactor != boxes_.size(); ++reactor) {
    if (boxes_[reactor]) shard_.peer(reactor).loop().post(std::move(boxes_[reactor]));
  }
}

}  // namespace mqloop::broker
