// What a Connection needs only now and then, and holds only from then on: what is known of a CONNECT until its session
// stands (then all of it goes), later the answers of plugins to the packet under way, enhanced authentication, and
// topic aliases.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/token_bucket.h"
#include "core/broker/connection.h"

namespace mqloop::broker {

// What limits.rates said when the session was opened, and how much of it is used.
struct Connection::Pace {
  explicit Pace(Connection& connection) : rested(connection) {}
  double publish_rate = 0;
  double byte_rate = 0;
  TokenBucket publishes;
  TokenBucket bytes;
  event::MemberTimer<Connection, &Connection::on_rested> rested;
};

// A SUBSCRIBE or UNSUBSCRIBE and what of it is done.
struct Connection::FilterList {
  std::vector<ReasonCode> codes;  // of the filters that are done, in order
  std::uint32_t identifier = 0;   // of SUBSCRIBE
  bool judged = false;            // every filter that is not done has its verdict
  std::size_t question = 0;       // of the first filter that is not done, among the verdicts
  bool ack_later = false;         // the answer waits for the publisher
  bool in_order = false;          // it goes behind the answers that wait for the publisher
  std::uint32_t joins = 0;        // and for so many owners of groups
};

struct Connection::Rare {
  // Of CONNECT, until the session stands.
  std::string client_id;
  bool client_id_assigned = false;
  std::optional<AuthVerdict> authenticated;
  std::optional<Identity> identity;
  bool came_home = false;  // the connection is where its session is or will be, and the directory expects it
  bool will_is_allowed = false;
  bool refusal_is_told = false;  // in the log, with its cause: the end of the connection needs no line of its own
  std::optional<MonotonicTime> braked_until;  // it waits to take a session over: at most until then

  std::vector<std::uint8_t> connack;  // waits for the publisher
  bool resumed = false;               // what it says
  // Null when CONNECT named no Authentication Method; stays as long as the connection.
  std::unique_ptr<EnhancedAuth> enhanced;
  // Runs while a re-authentication waits for the client, which has another timer for its Keep Alive.
  std::optional<event::MemberTimer<Connection, &Connection::on_step_deadline>> step_timer;

  // Verdicts on the questions of the packet under way, in the order of asking.
  std::vector<AccessVerdict> verdicts;

  // Of the packet under way, when one turn was not enough for it.
  std::unique_ptr<FilterList> filters;

  // SUBACK, until the owners of its shared subscriptions have said that they stand.
  std::uint32_t joins = 0;  // how many have not
  std::vector<std::uint8_t> suback;
  bool suback_later = false;  // and the publisher's turn

  mqtt::InboundTopicAliases inbound_aliases;
  mqtt::OutboundTopicAliases outbound_aliases;
  std::unique_ptr<Pace> pace;  // null: limits.rates is silent
};

}  // namespace mqloop::broker
