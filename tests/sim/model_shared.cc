// What the model knows of shared subscriptions. Their topics are their own (kSharedTopics), so that what comes on one
// has come through a group; which one of those that match is not told by what comes, so they are counted together.
#include <algorithm>

#include "core/mqtt/topic.h"
#include "tests/sim/model.h"

namespace mqloop::sim {

namespace {

bool group_matches(const std::string& group, const std::string& topic) {
  const auto parts = mqtt::parse_shared(group);
  return parts && mqtt::matches(parts->filter, topic);
}

}  // namespace

template <typename Visit>
void Model::for_each_session(Visit visit) const {
  for (const Client& client : clients_) {
    if (client.session) visit(*client.session, true);
  }
  for (const Session& session : ended_) visit(session, false);
}

void Model::deliver_shared(int index, const Received& message, Publish& publish, Step now) {
  Session& session = *clients_[static_cast<std::size_t>(index)].session;
  ++publish.deliveries;
  std::optional<QoS> highest;
  bool stands = false;
  bool as_published = false;
  bool identified = message.identifiers.empty();
  for (const Subscription& subscription : session.subscriptions) {
    if (!group_matches(subscription.filter, publish.topic)) continue;
    stands |= subscription.ended > now;
    for (const Version& version : subscription.versions) {
      if (version.refused || version.sent > now) continue;
      const QoS qos = std::min(version.options.maximum_qos, publish.qos);
      highest = std::max(highest.value_or(qos), qos);
      as_published |= version.options.retain_as_published && publish.retain;
      identified |= message.identifiers.size() == 1 && message.identifiers[0] == version.identifier;
    }
  }
  if (!highest) {
    fail(index, message, "it is a member of no group that can have matched");
  } else if (message.qos > *highest) {
    fail(index, message, "above the QoS granted to the member");  // [MQTT-4.8.2-3]
  }
  // What was not sent when the client unsubscribed goes to others [MQTT-3.10.4-2]; what was is completed.
  if (!stands && !message.dup) fail(index, message, "after UNSUBACK");
  if (message.retain && !as_published) fail(index, message, "retained, through a shared subscription");
  if (!identified) fail(index, message, "with another Subscription Identifier than the member's");
  // With DUP it may be what another group sent for the first time, under an identifier that has become free.
  ++(message.again                      ? session.shared_again
     : message.qos == QoS::kAtLeastOnce ? session.shared_qos1
                                        : session.shared_final)[publish.number];
}

unsigned Model::groups_of(const Publish& publish) const {
  return static_cast<unsigned>(
      std::ranges::count_if(groups_, [&](const std::string& group) { return group_matches(group, publish.topic); }));
}

bool Model::group_owes(const std::string& group, const Publish& publish) const {
  bool stays = false;
  bool may_be_lost = false;
  for_each_session([&](const Session& session, bool is_current) {
    for (const Subscription& subscription : session.subscriptions) {
      // Who was no member any more can have taken nothing.
      if (subscription.filter != group || std::min(subscription.ended, session.ended) < publish.sent) continue;
      const auto& versions = subscription.versions;
      const bool alive = is_current && !session.uncertain;
      // Taken with QoS 0 it may be lost with a connection, with QoS 2 with a session [MQTT-4.8.2-5].
      may_be_lost |= session.may_lose || std::ranges::any_of(versions, [&](const Version& version) {
                       const QoS qos = std::min(version.options.maximum_qos, publish.qos);
                       return !version.refused && (qos == QoS::kAtMostOnce || (qos == QoS::kExactlyOnce && !alive));
                     });
      stays |= alive && subscription.ending == kNotYet &&
               std::ranges::any_of(versions, [&](const Version& version) { return version.granted <= publish.sent; });
    }
  });
  return stays && !may_be_lost;
}

void Model::check_shared() {
  for (const Publish& publish : publishes_) {
    if (!publish.topic.starts_with(kSharedTopics) || publish.payload.empty()) continue;
    // Each group has it for good in one place: with a session that has taken it and stays, or with one that took it
    // with QoS 0 or 2. What a session that has ended had with QoS 1 may have gone on.
    unsigned for_good = 0;
    unsigned in_all = 0;
    for_each_session([&](const Session& session, bool is_current) {
      const auto final = session.shared_final.find(publish.number);
      const auto qos1 = session.shared_qos1.find(publish.number);
      const auto again = session.shared_again.find(publish.number);
      if (again != session.shared_again.end()) in_all += again->second;
      if (final != session.shared_final.end()) for_good += final->second, in_all += final->second;
      if (qos1 == session.shared_qos1.end()) return;
      in_all += qos1->second;
      if (is_current && !session.uncertain) for_good += qos1->second;
    });
    const std::string what = publish.payload.substr(0, 12) + " on " + publish.topic;
    const unsigned most = groups_of(publish) * publish.sends;
    if (for_good > most) {
      fail(what + " came to " + std::to_string(for_good) + " members of " + std::to_string(most) + " groups");
    }
    if (loss_is_allowed_ || publish.qos == QoS::kAtMostOnce || publish.settled == kNotYet) continue;
    if (publish.refused || publish.expires || !publish.owed || publish.cancelled) continue;
    const auto least = static_cast<unsigned>(std::ranges::count_if(groups_, [&](const std::string& group) {
      return group_matches(group, publish.topic) && group_owes(group, publish);
    }));
    owed_ += least;
    if (in_all < least) fail(what + " never came to a member of " + std::to_string(least - in_all) + " groups");
  }
}

}  // namespace mqloop::sim
