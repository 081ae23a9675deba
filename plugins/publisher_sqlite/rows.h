// Rows: what the ledger writes within a transaction, as the database takes it or a test in its place. StoreRows hands
// it to a store. The writer's thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/store/outcome.h"
#include "core/store/store.h"

namespace mqloop::publisher_sqlite {

class Rows {
 public:
  using Outcome = store::Outcome;

  virtual Outcome put_session(const store::SessionRow& session) = 0;
  virtual Outcome end_session(std::uint64_t session) = 0;
  virtual Outcome sweep_ended(std::size_t budget, std::vector<std::uint64_t>& released, bool& left) = 0;
  virtual Outcome put_subscription(const store::SubscriptionRow& subscription) = 0;
  virtual Outcome remove_subscription(std::uint64_t session, std::string_view filter) = 0;
  virtual Outcome insert_message(const store::MessageRow& message) = 0;
  virtual Outcome remove_message(std::uint64_t number) = 0;
  virtual Outcome insert_delivery(const store::DeliveryRow& delivery) = 0;
  virtual Outcome set_packet_id(std::uint64_t session, std::uint64_t delivery, std::uint16_t packet_id, QoS qos) = 0;
  // `released`: the message that the delivery had until now, 0 when it had none.
  virtual Outcome set_received(std::uint64_t session, std::uint64_t delivery, std::uint64_t& released) = 0;
  virtual Outcome remove_delivery(std::uint64_t session, std::uint64_t delivery, std::uint64_t& released) = 0;
  // `existed`: there was such a delivery.
  virtual Outcome remove_known_delivery(std::uint64_t session, std::uint64_t delivery, bool& existed) = 0;
  virtual Outcome insert_received(std::uint64_t session, std::uint16_t packet_id) = 0;
  virtual Outcome remove_received(std::uint64_t session, std::uint16_t packet_id) = 0;
  virtual Outcome insert_shared_delivery(std::string_view group, std::uint64_t message) = 0;
  virtual Outcome remove_shared_delivery(std::string_view group, std::uint64_t message, bool& existed) = 0;
  virtual Outcome put_retained(const store::RetainedRow& retained) = 0;
  virtual Outcome clear_retained(std::string_view topic) = 0;
  virtual Outcome set_progress(const store::Progress& progress) = 0;

 protected:
  ~Rows() = default;
};

class StoreRows final : public Rows {
 public:
  explicit StoreRows(store::Store& store) noexcept : store_(store) {}

  Outcome put_session(const store::SessionRow& session) override { return store_.put_session(session); }
  Outcome end_session(std::uint64_t session) override { return store_.end_session(session); }
  Outcome sweep_ended(std::size_t budget, std::vector<std::uint64_t>& released, bool& left) override {
    return store_.sweep_ended(budget, released, left);
  }
  Outcome put_subscription(const store::SubscriptionRow& subscription) override {
    return store_.put_subscription(subscription);
  }
  Outcome remove_subscription(std::uint64_t session, std::string_view filter) override {
    return store_.remove_subscription(session, filter);
  }
  Outcome insert_message(const store::MessageRow& message) override { return store_.insert_message(message); }
  Outcome remove_message(std::uint64_t number) override { return store_.remove_message(number); }
  Outcome insert_delivery(const store::DeliveryRow& delivery) override { return store_.insert_delivery(delivery); }
  Outcome set_packet_id(std::uint64_t session, std::uint64_t delivery, std::uint16_t packet_id, QoS qos) override {
    return store_.set_packet_id(session, delivery, packet_id, qos);
  }
  Outcome set_received(std::uint64_t session, std::uint64_t delivery, std::uint64_t& released) override {
    return store_.set_received(session, delivery, &released);
  }
  Outcome remove_delivery(std::uint64_t session, std::uint64_t delivery, std::uint64_t& released) override {
    return store_.remove_delivery(session, delivery, &released);
  }
  Outcome remove_known_delivery(std::uint64_t session, std::uint64_t delivery, bool& existed) override;
  Outcome insert_received(std::uint64_t session, std::uint16_t packet_id) override {
    return store_.insert_received(session, packet_id);
  }
  Outcome remove_received(std::uint64_t session, std::uint16_t packet_id) override {
    return store_.remove_received(session, packet_id);
  }
  Outcome insert_shared_delivery(std::string_view group, std::uint64_t message) override {
    return store_.insert_shared_delivery(group, message);
  }
  Outcome remove_shared_delivery(std::string_view group, std::uint64_t message, bool& existed) override;
  Outcome put_retained(const store::RetainedRow& retained) override { return store_.put_retained(retained); }
  Outcome clear_retained(std::string_view topic) override { return store_.clear_retained(topic); }
  Outcome set_progress(const store::Progress& progress) override { return store_.set_progress(progress); }

 private:
  store::Store& store_;
};

}  // namespace mqloop::publisher_sqlite
