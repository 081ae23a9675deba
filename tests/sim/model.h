// What a broker owes its clients, worked out from what the clients did and saw, and from nothing that the broker knows
// of itself. An action takes effect at some step between the one in which it was sent and the one in which its answer
// came; so for each message and session the model knows whether a delivery is owed (the subscription stood for sure,
// the publish was accepted for sure), forbidden (no subscription can have stood), or a matter of luck.
//
//   QoS 2: once for each session; QoS 1: as often as it was sent, and again only with DUP; QoS 0: at most so often.
//   Messages of one connection, topic and QoS come in order [MQTT-4.6.0-5].
//   A retained message is replayed to a new subscription, and is the latest that its topic can have.
//   A message that matches a shared subscription comes to one member of the group: with QoS 1 at least once as long as
//   a member stays, with QoS 2 never twice, and to nobody else when it was taken by one whose session stays. Session
//   Present says what must be so [MQTT-3.2.2-2] [MQTT-3.2.2-3]; a will comes once, or not at all.
//
// Every broken rule is a line in failures().
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <mqloop/clock.h>

#include "tests/support/simulated_client.h"

namespace mqloop::sim {

using Step = std::uint64_t;
inline constexpr Step kNotYet = std::numeric_limits<Step>::max();

class Model {
 public:
  enum class Origin : std::uint8_t { kClient, kWill, kForeign };

  struct Publish {
    std::uint64_t number = 0;
    Origin origin = Origin::kClient;
    int client = -1;
    std::uint64_t connection = 0;
    std::string topic;
    std::string payload;
    QoS qos = QoS::kAtMostOnce;
    bool retain = false;
    bool expires = false;
    unsigned sends = 1;      // how often the broker may have taken it for a new one
    bool refused = false;    // discarded, at least once
    bool in_order = true;    // among those of its connection
    bool cancelled = false;  // a will that must not be published
    bool owed = true;        // a will that may as well not be published is not
    Step sent = 0;
    Step accepted = kNotYet;  // its answer came
    Step settled = kNotYet;   // it has reached every session that it will reach
    unsigned deliveries = 0;
    unsigned crashes = 0;  // that were before it was sent
  };

  explicit Model(int clients);

  // Sessions may lose messages: queues or buffers are small.
  void allow_loss() noexcept { loss_is_allowed_ = true; }
  // The publisher refuses some: what is sent again may then be taken later than what came after it.
  void expect_refusals() noexcept { refusals_are_expected_ = true; }
  void allow_loss_of_qos0() noexcept { qos0_loss_is_allowed_ = true; }
  // Says whether a message's delivery has to wait still; null when there is nothing to ask.
  void ask_whether_held(std::function<bool(const std::string& payload, QoS qos)> is_held) {
    is_held_ = std::move(is_held);
  }

  // ---- connections of client `client`; `time` is simulated time
  void connecting(int client, const ConnectOptions& options, bool is_v5, Step now, MonotonicTime time);
  void connected(int client, bool session_present, Step now, MonotonicTime time);
  // The connection ends on the client's side: with DISCONNECT and this expiry, or without a word.
  void disconnecting(int client, std::optional<std::uint32_t> expiry);
  void broke(int client, bool broker_will_notice);
  // The broker closed it. `will_is_off`: after a DISCONNECT that it has taken, without will.
  void closed(int client, bool will_is_off, MonotonicTime time);

  // The broker has crashed, and comes back with what was on its disk: all that it has acknowledged, QoS 0 not. A
  // message may come again then with QoS 1.
  void crashed(Step now);

  // ---- messages
  std::uint64_t next_number() const noexcept { return publishes_.size(); }
  [[nodiscard]] static std::string payload_for(std::uint64_t number, std::size_t padding);
  std::uint64_t publish(Publish publish);
  void publish_resent(std::uint64_t number);
  void publish_accepted(std::uint64_t number, bool refused, Step now);
  // All that was accepted until `through` has had its effect.
  void settle(Step through, Step now);
  void deliver(int client, const Received& message, Step now);

  // ---- subscriptions; the handle is that of the answer
  std::uint64_t subscribe(int client, std::span<const SubscribeEntry> entries, std::uint32_t identifier, Step now);
  void subscribed(int client, std::uint64_t handle, std::span<const ReasonCode> codes, Step now);
  std::uint64_t unsubscribe(int client, std::span<const std::string> filters, Step now);
  void unsubscribed(int client, std::uint64_t handle, Step now);

  // ---- the end
  // Time has passed that fires every will of a client that is away.
  void wills_are_due(Step now);
  // Everything is quiet and every client is connected: is anything owed still?
  void check_owed();
  void check_retained(const std::map<std::string, std::string>& retained);
  // Whether the subscriptions of the client are known for sure; how many then.
  [[nodiscard]] std::optional<std::size_t> subscriptions_of(int client) const;

  [[nodiscard]] const Publish& at(std::uint64_t number) const { return publishes_[number]; }
  [[nodiscard]] const std::vector<std::string>& failures() const noexcept { return failures_; }
  [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_; }
  [[nodiscard]] std::uint64_t owed() const noexcept { return owed_; }
  // Where topics begin that none but shared subscriptions match.
  static constexpr std::string_view kSharedTopics = "$s/";

 private:
  // One SUBSCRIBE to a filter.
  struct Version {
    mqtt::SubscriptionOptions options;
    std::uint32_t identifier = 0;
    std::uint64_t connection = 0;
    Step sent = 0;
    Step granted = kNotYet;
    bool refused = false;
    Step replaced = kNotYet;  // the next version was granted
  };
  // From the first SUBSCRIBE to UNSUBSCRIBE.
  struct Subscription {
    std::string filter;
    std::vector<Version> versions;
    bool surely_new = true;  // no other may stand when it comes
    Step ending = kNotYet;   // UNSUBSCRIBE was sent
    Step ended = kNotYet;    // and answered
  };
  using OrderKey = std::tuple<int, std::uint64_t, std::string, QoS, QoS>;
  struct Session {
    bool uncertain = false;  // it may be another one than the client thinks
    Step ended = kNotYet;    // surely by then
    bool may_lose = false;
    std::uint64_t resumptions = 0;
    std::vector<Subscription> subscriptions;
    std::map<std::uint64_t, unsigned> copies;        // of each publish, without those that came again
    std::map<std::uint64_t, unsigned> exactly_once;  // of these with QoS 2
    // The same through shared subscriptions: with QoS 1, which may go to another member should the session end, and
    // not; and what seems to have come again.
    std::map<std::uint64_t, unsigned> shared_qos1;
    std::map<std::uint64_t, unsigned> shared_final;
    std::map<std::uint64_t, unsigned> shared_again;
    std::map<OrderKey, std::uint64_t> latest;
    std::map<std::uint64_t, std::vector<std::pair<std::size_t, std::size_t>>> questions;
  };
  struct Client {
    bool is_v5 = false;
    bool online = false;
    ConnectOptions options;
    std::uint64_t connection = 0;
    std::optional<Session> session;
    // What is known of the session at the broker.
    bool answered = false;     // the latest CONNECT
    bool had_session = false;  // it stood at the latest CONNACK
    bool maybe_created = false;
    std::uint32_t least_expiry = 0;
    std::uint32_t most_expiry = 0;
    MonotonicTime connecting_at{};
    MonotonicTime alive_since{};
    Step connected_at = kNotYet;
    std::optional<MonotonicTime> closed_at;
    std::optional<std::uint64_t> will;         // of the connection that is or was
    std::optional<std::uint64_t> will_before;  // of the answered one before, while CONNECT is unanswered
    std::uint32_t delay_before = 0;
    bool will_is_due = false;  // the connection broke, and the broker will see it
  };

  [[nodiscard]] bool surely_present(const Client& client, MonotonicTime time) const;
  [[nodiscard]] bool surely_absent(const Client& client, MonotonicTime time) const;
  void fail(const std::string& what);
  void fail(int client, const Received& message, const std::string& what);
  [[nodiscard]] static bool matches(const Subscription& subscription, const Publish& publish);
  // Whether the message may have been routed by this version of the subscription.
  [[nodiscard]] static bool may_have_matched(int client, const Subscription& subscription, const Version& version,
                                             const Publish& publish);
  // The QoS with which it must have been.
  [[nodiscard]] static std::optional<QoS> must_have_matched(int client, const Subscription& subscription,
                                                            const Publish& publish);
  [[nodiscard]] bool may_be_replayed(const Subscription& subscription, const Version& version,
                                     const Publish& publish) const;
  // `qos`: of these copies, or of all.
  [[nodiscard]] unsigned most_copies(const Session& session, const Publish& publish, std::optional<QoS> qos) const;
  [[nodiscard]] bool superseded(const Publish& publish, Step before) const;
  void check_match(int client, const Received& message, const Publish& publish);
  void check_order(int client, const Received& message, const Publish& publish);
  void check_identifiers(int client, const Received& message, const Publish& publish);
  void deliver_shared(int client, const Received& message, Publish& publish, Step now);
  // How many groups there ever were whose filter matches.
  [[nodiscard]] unsigned groups_of(const Publish& publish) const;
  // Whether a member of the group was there before the message, is there still, and nobody may have lost it.
  [[nodiscard]] bool group_owes(const std::string& group, const Publish& publish) const;
  template <typename Visit>
  void for_each_session(Visit visit) const;
  void check_shared();
  void check_owed_to(int client);
  void check_replays_of(int client);
  [[nodiscard]] Publish* find(const std::string& payload);

  std::vector<Client> clients_;
  std::vector<Session> ended_;    // sessions of clients that have another one by now
  std::set<std::string> groups_;  // every shared filter that somebody subscribed to
  std::vector<Publish> publishes_;
  std::map<std::string, std::vector<std::uint64_t>> retained_;  // by topic, in the order of sending
  std::vector<std::uint64_t> unsettled_;
  std::uint64_t questions_ = 0;
  unsigned crashes_ = 0;
  Step last_crash_ = 0;
  std::function<bool(const std::string&, QoS)> is_held_;
  bool loss_is_allowed_ = false;
  bool qos0_loss_is_allowed_ = false;
  bool refusals_are_expected_ = false;
  std::uint64_t delivered_ = 0;
  std::uint64_t owed_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace mqloop::sim
