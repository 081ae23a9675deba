#include "tests/sim/model.h"

#include <algorithm>
#include <charconv>

#include "core/mqtt/topic.h"

namespace mqloop::sim {

namespace {

constexpr std::uint32_t kForEver = 0xFFFFFFFF;

std::uint32_t expiry_of(const ConnectOptions& options, bool is_v5) {
  if (is_v5) return options.expiry_interval;
  return options.clean_start ? 0 : kForEver;
}

std::string name(QoS qos) { return "QoS " + std::to_string(static_cast<int>(qos)); }

// Whether `later` took effect after `earlier`.
bool surely_after(const Model::Publish& later, const Model::Publish& earlier) {
  if (later.sent > earlier.settled) return true;
  return later.origin == Model::Origin::kClient && earlier.origin == Model::Origin::kClient &&
         later.client == earlier.client && later.connection == earlier.connection && later.number > earlier.number &&
         later.in_order && earlier.in_order;
}

}  // namespace

Model::Model(int clients) : clients_(static_cast<std::size_t>(clients)) {}

void Model::fail(const std::string& what) { failures_.push_back(what); }

void Model::fail(int client, const Received& message, const std::string& what) {
  fail("client " + std::to_string(client) + " got " + message.payload.substr(0, 12) + " on " + message.topic + " (" +
       name(message.qos) + (message.retain ? ", retained" : "") + (message.dup ? ", again" : "") + "): " + what);
}

// ---- connections ---------------------------------------------------------------------------------------------------

bool Model::surely_present(const Client& client, MonotonicTime time) const {
  if (!client.had_session || client.least_expiry == 0) return false;
  return client.least_expiry == kForEver || time - client.alive_since < std::chrono::seconds(client.least_expiry);
}

bool Model::surely_absent(const Client& client, MonotonicTime time) const {
  if (client.most_expiry == 0) return true;  // it ends with its connection, a take-over included
  if (client.maybe_created) return false;
  if (!client.had_session) return true;
  return client.closed_at && client.most_expiry != kForEver &&
         time - *client.closed_at > std::chrono::seconds(client.most_expiry);
}

void Model::connecting(int index, const ConnectOptions& options, bool is_v5, Step now, MonotonicTime time) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  if (client.connection != 0 && !client.answered) {
    // The CONNECT before this one may have been accepted, or not.
    if (!surely_present(client, time)) {
      client.maybe_created = true;
      if (client.session) client.session->uncertain = true;
    }
    const std::uint32_t before = expiry_of(client.options, client.is_v5);
    client.least_expiry = std::min(client.least_expiry, before);
    client.most_expiry = std::max(client.most_expiry, before);
    client.closed_at.reset();
  }
  // Also when the answer never comes: the broker may have dropped what is too large meanwhile.
  if (client.session) client.session->may_lose |= options.maximum_packet_size != 0;
  client.will_before = client.answered ? client.will : std::nullopt;
  client.delay_before = client.will_before ? client.options.will->delay : 0;
  client.will.reset();
  client.will_is_due = false;
  client.is_v5 = is_v5;
  client.online = false;
  client.answered = false;
  client.options = options;
  client.connecting_at = time;
  ++client.connection;
  if (!options.will) return;
  Publish will;
  will.origin = Origin::kWill;
  will.client = index;
  will.connection = client.connection;
  will.topic = options.will->topic;
  will.payload = options.will->payload;
  will.qos = options.will->qos;
  will.retain = options.will->retain;
  will.owed = false;
  will.sent = now;
  client.will = publish(std::move(will));
}

void Model::connected(int index, bool session_present, Step now, MonotonicTime time) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  if (!client.options.clean_start) {
    if (session_present && surely_absent(client, client.connecting_at)) {
      fail("client " + std::to_string(index) + ": Session Present, but the session must be gone");
    }
    if (!session_present && surely_present(client, time)) {
      fail("client " + std::to_string(index) + ": no Session Present, but the session must be there");
    }
  }
  if (session_present && client.will_before && time - client.alive_since < std::chrono::seconds(client.delay_before)) {
    publishes_[*client.will_before].cancelled = true;  // [MQTT-3.1.3-9]
  }
  if (session_present && client.session) {
    ++client.session->resumptions;
    client.session->uncertain |= client.maybe_created;
  } else {
    if (client.session) {
      client.session->ended = now;
      ended_.push_back(*std::move(client.session));
    }
    client.session.emplace();
  }
  client.session->may_lose |= client.options.maximum_packet_size != 0;
  client.answered = true;
  client.online = true;
  client.had_session = true;
  client.maybe_created = false;
  client.least_expiry = client.most_expiry = expiry_of(client.options, client.is_v5);
  client.alive_since = client.connecting_at;
  client.connected_at = now;
  client.closed_at.reset();
}

void Model::disconnecting(int index, std::optional<std::uint32_t> expiry) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  client.online = false;
  if (!expiry) return;
  client.least_expiry = std::min(client.least_expiry, *expiry);
  client.most_expiry = std::max(client.most_expiry, *expiry);
}

void Model::broke(int index, bool broker_will_notice) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  client.online = false;
  client.will_is_due = client.answered && broker_will_notice;
}

void Model::closed(int index, bool will_is_off, MonotonicTime time) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  client.online = false;
  client.closed_at = time;
  if (will_is_off && client.will) publishes_[*client.will].cancelled = true;  // [MQTT-3.1.2-10]
}

// A value that was published with QoS 0 may be kept, or the one before it.
void Model::crashed(Step now) {
  ++crashes_;
  last_crash_ = now;
  for (Publish& publish : publishes_) {
    if (publish.qos != QoS::kAtMostOnce) continue;
    publish.accepted = publish.settled = kNotYet;
  }
}

// ---- messages ------------------------------------------------------------------------------------------------------

std::string Model::payload_for(std::uint64_t number, std::size_t padding) {
  return 'm' + std::to_string(number) + ';' + std::string(padding, '.');
}

std::uint64_t Model::publish(Publish publish) {
  publish.number = publishes_.size();
  publish.crashes = crashes_;
  if (publish.retain) retained_[publish.topic].push_back(publish.number);
  unsettled_.push_back(publish.number);
  publishes_.push_back(std::move(publish));
  return publishes_.back().number;
}

void Model::publish_resent(std::uint64_t number) {
  Publish& publish = publishes_[number];
  const auto& session = clients_[static_cast<std::size_t>(publish.client)].session;
  if (publish.qos == QoS::kAtLeastOnce || (session && session->uncertain)) ++publish.sends;
  if (publish.sends > 1 || refusals_are_expected_) publish.in_order = false;
}

void Model::publish_accepted(std::uint64_t number, bool refused, Step now) {
  Publish& publish = publishes_[number];
  publish.refused |= refused;
  if (publish.qos == QoS::kAtMostOnce && publish.crashes != crashes_)
    return;  // the answer to what came after it is late
  publish.accepted = now;
}

void Model::settle(Step through, Step now) {
  std::erase_if(unsettled_, [&](std::uint64_t number) {
    Publish& publish = publishes_[number];
    if (publish.accepted == kNotYet || publish.accepted > through) return false;
    publish.settled = now;
    return true;
  });
}

Model::Publish* Model::find(const std::string& payload) {
  std::uint64_t number = 0;
  const char* const end = payload.data() + payload.size();
  if (payload.empty() || payload[0] != 'm') return nullptr;
  const auto parsed = std::from_chars(payload.data() + 1, end, number);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != ';') return nullptr;
  if (number >= publishes_.size() || publishes_[number].payload != payload) return nullptr;
  return &publishes_[number];
}

bool Model::matches(const Subscription& subscription, const Publish& publish) {
  return !mqtt::is_shared(subscription.filter) && mqtt::matches(subscription.filter, publish.topic);
}

bool Model::may_have_matched(int client, const Subscription& subscription, const Version& version,
                             const Publish& publish) {
  if (version.refused || !matches(subscription, publish)) return false;
  if (version.options.no_local && publish.client == client) return false;  // [MQTT-3.8.3-3]
  return publish.settled >= version.sent && subscription.ended >= publish.sent && version.replaced >= publish.sent;
}

std::optional<QoS> Model::must_have_matched(int client, const Subscription& subscription, const Publish& publish) {
  if (publish.settled == kNotYet || subscription.ending <= publish.settled || !matches(subscription, publish)) {
    return std::nullopt;
  }
  bool stood = false;
  QoS qos = QoS::kExactlyOnce;
  for (const Version& version : subscription.versions) {
    if (version.refused || version.sent > publish.settled || version.replaced < publish.sent) continue;
    if (version.options.no_local && publish.client == client) return std::nullopt;
    stood |= version.granted <= publish.sent;
    qos = std::min(qos, version.options.maximum_qos);
  }
  return stood ? std::optional(std::min(qos, publish.qos)) : std::nullopt;
}

bool Model::superseded(const Publish& publish, Step before) const {
  const auto& rivals = retained_.at(publish.topic);
  return std::any_of(rivals.begin(), rivals.end(), [&](std::uint64_t number) {
    const Publish& rival = publishes_[number];
    return number != publish.number && !rival.refused && rival.settled < before && surely_after(rival, publish);
  });
}

bool Model::may_be_replayed(const Subscription& subscription, const Version& version, const Publish& publish) const {
  return publish.retain && !version.refused && version.options.retain_handling != mqtt::RetainHandling::kDoNotSend &&
         matches(subscription, publish) && !superseded(publish, version.sent);
}

unsigned Model::most_copies(const Session& session, const Publish& publish, std::optional<QoS> qos) const {
  unsigned sends = publish.sends;
  if (qos != QoS::kExactlyOnce && publish.qos != QoS::kAtMostOnce) sends *= 1 + crashes_ - publish.crashes;
  if (!publish.retain) return sends;
  unsigned versions = 0;
  for (const Subscription& subscription : session.subscriptions) {
    if (matches(subscription, publish)) versions += static_cast<unsigned>(subscription.versions.size());
  }
  // Live or replayed, never both; a subscription that was there before has a right to either.
  return versions == 1 && sends == 1 ? 1 : sends + versions;
}

void Model::deliver(int index, const Received& message, Step now) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  ++delivered_;
  if (message.payload.empty()) return;  // the live copy of what clears a retained message: it has no name
  Publish* publish = find(message.payload);
  if (publish == nullptr || publish->topic != message.topic || publish->sent > now) {
    fail(index, message, "nobody published that");
    return;
  }
  Session& session = *client.session;
  if (publish->cancelled) fail(index, message, "a will that must not be published");
  if (!message.retain && is_held_ && is_held_(message.payload, message.qos))
    fail(index, message, "its turn is not complete");
  if (message.dup && session.resumptions == 0) fail(index, message, "DUP in the first connection of a session");
  if (message.expiry_interval.has_value() != (publish->expires && client.is_v5)) fail(index, message, "expiry");
  if (message.topic.starts_with(kSharedTopics)) {
    deliver_shared(index, message, *publish, now);
    return;
  }
  check_match(index, message, *publish);
  ++publish->deliveries;
  if (message.again) return;
  unsigned& copies = session.copies[publish->number];
  if (const unsigned most = most_copies(session, *publish, std::nullopt); ++copies > most) {
    fail(index, message, "copy " + std::to_string(copies) + " of " + std::to_string(most));
  }
  if (message.qos == QoS::kExactlyOnce) {
    const unsigned most = most_copies(session, *publish, QoS::kExactlyOnce);
    if (++session.exactly_once[publish->number] > most) {
      fail(index, message, "with QoS 2 more often than " + std::to_string(most) + " times");
    }
  }
  // What comes again after a crash comes late, and what was dropped for good may come after all.
  const bool comes_late = copies != 1 || session.may_lose || loss_is_allowed_;
  if (crashes_ == publish->crashes || !comes_late) check_order(index, message, *publish);
  if (client.is_v5 && !message.retain) check_identifiers(index, message, *publish);
}

void Model::check_match(int index, const Received& message, const Publish& publish) {
  const Session& session = *clients_[static_cast<std::size_t>(index)].session;
  std::optional<QoS> live;  // the highest that it can have been routed with
  std::optional<QoS> replayed;
  std::optional<QoS> owed;
  bool as_published = false;  // of overlapping subscriptions one is enough
  for (const Subscription& subscription : session.subscriptions) {
    for (const Version& version : subscription.versions) {
      const QoS qos = std::min(version.options.maximum_qos, publish.qos);
      if (may_have_matched(index, subscription, version, publish)) {
        live = std::max(live.value_or(qos), qos);
        as_published |= version.options.retain_as_published && publish.retain;
      }
      if (may_be_replayed(subscription, version, publish)) replayed = std::max(replayed.value_or(qos), qos);
    }
    if (const auto qos = must_have_matched(index, subscription, publish)) owed = std::max(owed.value_or(*qos), *qos);
  }
  std::optional<QoS> highest = message.retain ? replayed : live;
  if (message.retain && as_published && live) highest = std::max(highest.value_or(*live), *live);
  if (!highest) {
    fail(index, message, "no subscription can have matched");
  } else if (message.qos > *highest) {
    fail(index, message, "above the granted QoS");
  } else if (!message.retain && !session.uncertain && owed && message.qos < *owed) {
    fail(index, message, "below " + name(*owed));
  }
}

// [MQTT-4.6.0-5]
void Model::check_order(int index, const Received& message, const Publish& publish) {
  if (publish.origin != Origin::kClient || !publish.in_order || message.retain) return;
  Session& session = *clients_[static_cast<std::size_t>(index)].session;
  std::uint64_t& latest = session.latest[{publish.client, publish.connection, publish.topic, publish.qos, message.qos}];
  if (publish.number < latest) fail(index, message, "after m" + std::to_string(latest) + ", which came later");
  latest = std::max(latest, publish.number);
}

// [MQTT-3.3.4-3] [MQTT-3.3.4-4]
void Model::check_identifiers(int index, const Received& message, const Publish& publish) {
  const Session& session = *clients_[static_cast<std::size_t>(index)].session;
  std::vector<std::uint32_t> possible;
  for (const Subscription& subscription : session.subscriptions) {
    for (const Version& version : subscription.versions) {
      if (may_have_matched(index, subscription, version, publish)) possible.push_back(version.identifier);
    }
    if (session.uncertain || subscription.versions.size() != 1 || subscription.versions[0].identifier == 0) continue;
    if (!must_have_matched(index, subscription, publish)) continue;
    if (std::ranges::find(message.identifiers, subscription.versions[0].identifier) == message.identifiers.end()) {
      fail(index, message, "without the Subscription Identifier of " + subscription.filter);
    }
  }
  for (const std::uint32_t identifier : message.identifiers) {
    if (std::ranges::find(possible, identifier) == possible.end()) {
      fail(index, message, "with Subscription Identifier " + std::to_string(identifier));
    }
  }
}

// ---- subscriptions -------------------------------------------------------------------------------------------------

std::uint64_t Model::subscribe(int index, std::span<const SubscribeEntry> entries, std::uint32_t identifier, Step now) {
  Client& client = clients_[static_cast<std::size_t>(index)];
  auto& subscriptions = client.session->subscriptions;
  auto& question = client.session->questions[++questions_];
  for (const SubscribeEntry& entry : entries) {
    Version version;
    version.options = entry.options;
    version.identifier = client.is_v5 ? identifier : 0;
    version.sent = now;
    if (mqtt::is_shared(entry.filter)) groups_.insert(entry.filter);
    std::size_t place = subscriptions.size();
    bool surely_new = true;
    for (std::size_t i = 0; i != subscriptions.size(); ++i) {
      if (subscriptions[i].filter != entry.filter) continue;
      if (subscriptions[i].ending == kNotYet) place = i;
      if (subscriptions[i].ended == kNotYet) surely_new = false;
    }
    if (place == subscriptions.size()) {
      subscriptions.push_back({entry.filter, {}, surely_new, kNotYet, kNotYet});
    }
    question.emplace_back(place, subscriptions[place].versions.size());
    subscriptions[place].versions.push_back(version);
  }
  return questions_;
}

void Model::subscribed(int index, std::uint64_t handle, std::span<const ReasonCode> codes, Step now) {
  Session& session = *clients_[static_cast<std::size_t>(index)].session;
  const auto& question = session.questions[handle];
  for (std::size_t i = 0; i != std::min(codes.size(), question.size()); ++i) {
    Subscription& subscription = session.subscriptions[question[i].first];
    Version& version = subscription.versions[question[i].second];
    if (is_error(codes[i])) {
      version.refused = true;
      continue;
    }
    version.granted = now;
    if (codes[i] != static_cast<ReasonCode>(version.options.maximum_qos))
      fail("granted another QoS than was asked for");
    for (std::size_t before = 0; before != question[i].second; ++before) {
      subscription.versions[before].replaced = std::min(subscription.versions[before].replaced, now);
    }
  }
}

std::uint64_t Model::unsubscribe(int index, std::span<const std::string> filters, Step now) {
  Session& session = *clients_[static_cast<std::size_t>(index)].session;
  auto& question = session.questions[++questions_];
  for (const std::string& filter : filters) {
    for (std::size_t i = 0; i != session.subscriptions.size(); ++i) {
      Subscription& subscription = session.subscriptions[i];
      if (subscription.filter != filter) continue;
      // An earlier one may still stand, when its UNSUBSCRIBE was never answered.
      if (subscription.ending == kNotYet) subscription.ending = now;
      if (subscription.ended == kNotYet) question.emplace_back(i, 0);
    }
  }
  return questions_;
}

void Model::unsubscribed(int index, std::uint64_t handle, Step now) {
  Session& session = *clients_[static_cast<std::size_t>(index)].session;
  for (const auto& [place, version] : session.questions[handle]) {
    session.subscriptions[place].ended = std::min(session.subscriptions[place].ended, now);
  }
}

std::optional<std::size_t> Model::subscriptions_of(int index) const {
  const auto& session = clients_[static_cast<std::size_t>(index)].session;
  if (!session || session->uncertain) return std::nullopt;
  std::size_t count = 0;
  for (const Subscription& subscription : session->subscriptions) {
    const bool refused =
        std::ranges::all_of(subscription.versions, [](const Version& version) { return version.refused; });
    if (refused || subscription.ended != kNotYet) continue;
    const bool granted =
        std::ranges::any_of(subscription.versions, [](const Version& version) { return version.granted != kNotYet; });
    if (!granted || subscription.ending != kNotYet) return std::nullopt;
    ++count;
  }
  return count;
}

// ---- the end -------------------------------------------------------------------------------------------------------

void Model::wills_are_due(Step now) {
  for (Client& client : clients_) {
    if (!client.will || !client.will_is_due || client.online) continue;
    Publish& will = publishes_[*client.will];
    will.owed = true;
    will.accepted = now;
  }
}

void Model::check_owed() {
  check_shared();
  for (const Publish& publish : publishes_) {
    if (publish.cancelled && publish.deliveries != 0) fail(publish.payload.substr(0, 12) + ": a will after DISCONNECT");
    if (publish.refused && publish.sends == 1 && publish.deliveries != 0) {
      fail(publish.payload.substr(0, 12) + " was refused, and delivered");
    }
  }
  for (int client = 0; client != static_cast<int>(clients_.size()); ++client) {
    const auto& session = clients_[static_cast<std::size_t>(client)].session;
    if (loss_is_allowed_ || !session || session->uncertain || session->may_lose) continue;
    check_owed_to(client);
    check_replays_of(client);
  }
}

void Model::check_owed_to(int index) {
  const Client& client = clients_[static_cast<std::size_t>(index)];
  for (const Publish& publish : publishes_) {
    if (!publish.owed || publish.refused || publish.expires || publish.cancelled || publish.payload.empty()) continue;
    for (const Subscription& subscription : client.session->subscriptions) {
      const auto qos = must_have_matched(index, subscription, publish);
      if (!qos) continue;
      // QoS 0 is owed only to a connection that stood before and stands still.
      if (*qos == QoS::kAtMostOnce && (qos0_loss_is_allowed_ || client.connected_at > publish.sent)) continue;
      ++owed_;
      if (client.session->copies.contains(publish.number)) continue;
      fail(publish.payload.substr(0, 12) + " on " + publish.topic + " (" + name(*qos) +
           (publish.origin == Origin::kWill ? ", will" : "") + ") never came to client " + std::to_string(index) +
           ", who has " + subscription.filter);
      break;
    }
  }
}

void Model::check_replays_of(int index) {
  const Client& client = clients_[static_cast<std::size_t>(index)];
  for (const Subscription& subscription : client.session->subscriptions) {
    if (subscription.ending != kNotYet) continue;
    const Version& version = subscription.versions.back();
    const bool replays = version.options.retain_handling == mqtt::RetainHandling::kSendAlways ||
                         (version.options.retain_handling == mqtt::RetainHandling::kSendIfNew &&
                          subscription.versions.size() == 1 && subscription.surely_new);
    // A replay takes its time after SUBACK, and nothing acknowledges it.
    if (version.granted == kNotYet || !replays || version.sent <= last_crash_) continue;
    for (const auto& [topic, numbers] : retained_) {
      if (!mqtt::matches(subscription.filter, topic)) continue;
      for (const std::uint64_t number : numbers) {
        const Publish& value = publishes_[number];
        const bool stands = std::ranges::all_of(
            numbers, [&](std::uint64_t rival) { return rival == number || surely_after(value, publishes_[rival]); });
        if (!stands || value.settled >= version.sent || value.refused || value.expires || value.payload.empty())
          continue;
        const QoS qos = std::min(value.qos, version.options.maximum_qos);
        if (qos == QoS::kAtMostOnce && (qos0_loss_is_allowed_ || client.connected_at > version.sent)) continue;
        ++owed_;
        if (client.session->copies.contains(number)) continue;
        fail("the retained " + value.payload.substr(0, 12) + " of " + topic + " was not sent to client " +
             std::to_string(index) + " for " + subscription.filter);
      }
    }
  }
}

void Model::check_retained(const std::map<std::string, std::string>& retained) {
  for (const auto& [topic, payload] : retained) {
    const Publish* publish = find(payload);
    if (publish == nullptr || !publish->retain || publish->topic != topic) {
      fail("the retained message of " + topic + " is not one that was published");
    } else if (superseded(*publish, kNotYet) || (publish->refused && publish->sends == 1)) {
      fail("the retained message of " + topic + " is " + payload.substr(0, 12) + ", which was replaced");
    }
  }
  for (const auto& [topic, numbers] : retained_) {
    if (retained.contains(topic)) continue;
    const bool surely_stored = std::ranges::any_of(numbers, [this](std::uint64_t number) {
      return publishes_[number].settled != kNotYet && !publishes_[number].refused && !publishes_[number].expires;
    });
    const bool maybe_gone = std::ranges::any_of(numbers, [this](std::uint64_t number) {
      const Publish& publish = publishes_[number];
      return (publish.payload.empty() || publish.expires) && !superseded(publish, kNotYet);
    });
    if (surely_stored && !maybe_gone) fail("the retained message of " + topic + " is gone");
  }
}

}  // namespace mqloop::sim
