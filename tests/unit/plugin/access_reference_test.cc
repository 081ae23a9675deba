// Access on every path against a reference: random lists for acl_file, random sessions and what they do (live, retained
// and queued messages, wills, shared subscriptions whose members have different rights) in a simulated broker, and for
// each step what an evaluator says that is written after the words of the documentation alone, with no regard to speed.
// The rules change in the middle of each round.
//
// A failure prints the seed of its round; MQLOOP_ACCESS_SEED=N build/tests/unit -g AccessReference runs that one alone.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <mqloop/plugin.h>

#include "core/broker/shard.h"
#include "tests/support/simulated_broker.h"
#include "tests/support/simulated_client.h"
#include "tests/unit/config/config_fixture.h"
#include "tests/unit/plugin/plugin_fixture.h"

#include <CppUTest/TestHarness.h>

extern "C" const mqloop_plugin_block* mqloop_builtin_AclFile();

namespace {

using namespace mqloop;
using namespace mqloop::sim;

constexpr std::uint32_t kRounds = 1000;

// ---- the reference -------------------------------------------------------------------------------------------------

using Words = std::vector<std::string>;

Words split(const std::string& text) {
  Words words(1);
  for (const char c : text) {
    if (c == '/') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

struct Person {
  std::string id;
  std::optional<std::string> user;
};

bool is_plain(const std::string& name) { return !name.empty() && name.find_first_of("/+#") == std::string::npos; }

// Does the filter from word `i` on match the topic from word `j` on? %c and %u of a pattern are `person`'s.
bool fits(const Words& filter, const Words& topic, std::size_t i, std::size_t j, const Person* person) {
  if (i == filter.size()) return j == topic.size();
  if (filter[i] == "#") return true;
  if (j == topic.size()) return false;
  std::string word = filter[i];
  if (person != nullptr && (word == "%c" || word == "%u")) {
    word = word == "%c" ? person->id : person->user.value_or("");
    if (!is_plain(word) || (i == 0 && word[0] == '$')) return false;
    return word == topic[j] && fits(filter, topic, i + 1, j + 1, person);
  }
  if (word != "+" && word != topic[j]) return false;
  return fits(filter, topic, i + 1, j + 1, person);
}
bool matches(const std::string& filter, const std::string& topic, const Person* person = nullptr) {
  if ((filter[0] == '+' || filter[0] == '#') && topic[0] == '$') return false;
  return fits(split(filter), split(topic), 0, 0, person);
}

enum class Doing : std::uint8_t { kRead, kWrite };

struct Rulebook {
  struct Entry {
    bool is_pattern;
    std::optional<std::string> user;  // of a topic line; none: clients without a name
    std::string access;               // read, write, readwrite, deny
    std::string filter;
  };

  [[nodiscard]] bool concerns(const Entry& entry, const Person& person, const std::string& topic) const {
    if (!entry.is_pattern && entry.user != person.user) return false;
    return matches(entry.filter, topic, entry.is_pattern ? &person : nullptr);
  }
  [[nodiscard]] bool may(const Person& person, Doing doing, const std::string& topic) const {
    bool allowed = false;
    for (const Entry& entry : entries) {
      if (!concerns(entry, person, topic)) continue;
      if (entry.access == "deny") return false;
      if (entry.access == "readwrite" || entry.access == (doing == Doing::kRead ? "read" : "write")) allowed = true;
    }
    return allowed;
  }
  [[nodiscard]] std::size_t denies() const {
    return static_cast<std::size_t>(
        std::count_if(entries.begin(), entries.end(), [](const Entry& entry) { return entry.access == "deny"; }));
  }
  [[nodiscard]] std::string text() const {
    std::string all = "# generated\n";
    for (const bool named : {false, true}) {
      for (const Entry& entry : entries) {
        if (entry.is_pattern) {
          if (named) all += "pattern " + entry.access + ' ' + entry.filter + '\n';
        } else if (entry.user.has_value() == named) {
          if (named) all += "user " + *entry.user + '\n';
          all += "topic " + (entry.access == "readwrite" ? "" : entry.access + ' ') + entry.filter + '\n';
        }
      }
    }
    return all;
  }

  std::vector<Entry> entries;
};

// ---- the broker's side ---------------------------------------------------------------------------------------------

// Lets everybody in under the name given, and asks the acl_file that is in force.
class Gatekeeper final : public Plugin, public Authenticator, public Authorizer {
 public:
  Gatekeeper() = default;
  Gatekeeper(const Gatekeeper&) = delete;
  Gatekeeper& operator=(const Gatekeeper&) = delete;
  ~Gatekeeper() override {
    if (list_ != nullptr) block_->destroy(list_);
  }

  void take(const Rulebook& book) {
    auto* list = static_cast<Plugin*>(block_->create());
    Schema schema;
    list->describe(schema);
    const config::CheckedText options(schema, "file: " + folder_.write("rules.acl", book.text()));
    const Status status = list->configure(options.root());
    STRCMP_EQUAL("", std::string(status.message()).c_str());
    if (list_ != nullptr) block_->destroy(list_);
    list_ = list;
  }

  Authenticator* authenticator() noexcept override { return this; }
  Authorizer* authorizer() noexcept override { return this; }
  std::unique_ptr<PluginLocal> start(ReactorApi& reactor) override { return list_->start(reactor); }
  void authenticate(const ConnectRequest& /*request*/, AuthReply reply) const override { reply.accept(); }
  void authorize(const Access& access, AuthorizeReply reply) const override {
    list_->authorizer()->authorize(access, std::move(reply));
  }
  [[nodiscard]] DeliveryAnswer authorize_delivery(const Access& access) const override {
    return list_->authorizer()->authorize_delivery(access);
  }

 private:
  const mqloop_plugin_block* block_ = mqloop_builtin_AclFile();
  plugin_test::Folder folder_;
  Plugin* list_ = nullptr;
};

class Notes final : public ClientObserver {
 public:
  void on_connected(SimulatedClient&, bool /*session_present*/) override { refused.reset(); }
  void on_refused(SimulatedClient&, ReasonCode code) override { refused = code; }
  void on_message(SimulatedClient&, const Received& message) override { got.insert(message.payload); }
  void on_publish_acknowledged(SimulatedClient&, std::uint64_t /*tag*/, ReasonCode code) override { acked = code; }
  void on_subscribed(SimulatedClient&, std::uint64_t /*tag*/, std::span<const ReasonCode> codes) override {
    granted = codes.front();
  }
  void on_fault(SimulatedClient&, const std::string& what) override { faults += what + '\n'; }

  std::optional<ReasonCode> refused;
  std::optional<ReasonCode> acked;
  ReasonCode granted = ReasonCode::kUnspecifiedError;
  std::multiset<std::string> got;
  std::string faults;
};

// A client and what it should have got.
struct Actor {
  Actor(SimulatedBroker& broker, Person who, ProtocolVersion version)
      : person(std::move(who)), client(broker.network(), notes, person.id, version) {}

  Person person;
  Notes notes;
  SimulatedClient client;
  std::set<std::string> filters;  // granted
  std::set<std::string> shares;   // the filters of the shared subscriptions granted
  std::multiset<std::string> expected;
};

// A message that one of these must have got through a shared subscription, whose turn it was.
struct Share {
  std::string payload;
  std::vector<const Actor*> candidates;
  bool queued = false;  // nobody else could take it: it waits for the candidate, who is away
};

std::string listed(const std::multiset<std::string>& payloads) {
  std::string all;
  for (const std::string& payload : payloads) all += payload + ' ';
  return all;
}

// One list, some sessions, another list.
class Round {
 public:
  explicit Round(std::uint32_t seed) : random_(seed), choices_(seed), book_(make_book()) {
    gatekeeper_.take(book_);
    broker_.emplace(random_, 1 + below(2), false);
    subset_ = below(4) == 0;
    if (subset_) broker_->settings().auth.subscribe = SubscribeRule::kSubset;
    broker_->settings().shared_subscriptions.strategy = static_cast<broker::SharedStrategy>(below(4));
    shared_filters_ = {"#", make_filter(false)};
    broker_->add_plugin("rules", gatekeeper_);
    broker_->start(publisher_);
  }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  void run() {
    std::vector<std::string> ids = {"c1", "c2", "c3", "c4", "a", "a/b", "+", "#", "$d", "%c"};
    std::shuffle(ids.begin(), ids.end(), choices_);
    Actor& writer = add(ids[0], below(3) == 0 ? ProtocolVersion::kV311 : ProtocolVersion::kV5);
    Actor& stays = add(ids[1], ProtocolVersion::kV5);
    Actor& leaves = add(ids[2], ProtocolVersion::kV5);
    Actor& shares = add(ids[3], ProtocolVersion::kV5);
    const bool has_will = connect_with_will(writer);
    for (Actor* reader : {&stays, &leaves, &shares}) connect(*reader, true);
    for (Actor* reader : {&stays, &leaves}) {
      for (std::size_t i = 2 + below(3); i != 0; --i) subscribe(*reader, make_filter(false));
    }
    for (Actor* reader : {&stays, &leaves, &shares}) {
      for (std::size_t i = 1 + below(2); i != 0; --i) subscribe(*reader, shared_filters_[below(2)], true);
    }
    for (std::size_t i = 4; i != 0; --i) publish(writer, QoS(below(3)));
    compare("live");
    leaves.client.disconnect();
    settle();
    for (std::size_t i = 3; i != 0; --i) publish(writer, QoS(1 + below(2)));
    if (below(4) != 0) change_rules();
    for (std::size_t i = 3; i != 0; --i) publish(writer, QoS(1 + below(2)));
    come_back(leaves);
    compare("queued");
    Actor& late = add(ids[4], ProtocolVersion::kV5);
    connect(late, true);
    for (std::size_t i = 3; i != 0; --i) subscribe(late, make_filter(false));
    subscribe(late, shared_filters_[0], true);
    compare("retained");
    writer.client.reset();
    settle();
    if (has_will) expect_message(will_.topic, will_.payload, writer, will_.qos, true);
    compare("will");
    CHECK(broker_->stop());
    for (const auto& actor : actors_) STRCMP_EQUAL("", actor->notes.faults.c_str());
  }

  std::size_t actions = 0;
  std::size_t refused = 0;
  std::size_t delivered = 0;
  std::size_t shared = 0;       // went to a member of a group
  std::size_t passed_over = 0;  // of these, past a member who may not have it
  std::size_t queued = 0;       // waited for the only member who may, until it came back
  std::size_t nobodys = 0;      // no member may have it

 private:
  static inline const std::vector<std::string> kWords = {"a", "b", "c1", "u1", "$d", "z"};

  std::size_t below(std::size_t n) { return choices_() % n; }

  std::string make_filter(bool pattern) {
    static const std::vector<std::string> plain = {"a", "b", "c1", "u1", "$d", "+", "+"};
    static const std::vector<std::string> more = {"a", "b", "%c", "%u", "%c", "%u", "+"};
    std::string filter;
    for (std::size_t depth = 1 + below(2), i = 0; i != depth; ++i) {
      if (i != 0) filter += '/';
      filter += (pattern ? more : plain)[below(7)];
    }
    switch (below(5)) {
      case 0:
        return filter + "/#";
      case 1:
        return "#";
      default:
        return filter;
    }
  }
  std::string make_topic() {
    std::string topic = kWords[below(kWords.size())];
    for (std::size_t more = below(3); more != 0; --more) topic += '/' + kWords[below(kWords.size())];
    return topic;
  }
  // All of up to three levels that rules and filters of two can tell apart for this client; `z` is in no rule.
  static std::vector<std::string> topics_for(const Person& person) {
    std::vector<std::string> words = kWords;
    for (const std::string& name : {person.id, person.user.value_or("")}) {
      if (is_plain(name) && std::find(words.begin(), words.end(), name) == words.end()) words.push_back(name);
    }
    std::vector<std::string> all;
    for (const std::string& a : words) {
      all.push_back(a);
      for (const std::string& b : words) {
        all.push_back(a + '/' + b);
        for (const std::string& c : words) all.push_back(a + '/' + b + '/' + c);
      }
    }
    return all;
  }

  Rulebook make_book() {
    static const std::vector<std::string> accesses = {"read", "write", "readwrite", "readwrite", "read", "deny"};
    Rulebook book;
    // Something wide more often than not, from which the rest takes away.
    if (below(3) != 0) book.entries.push_back({true, std::nullopt, "write", below(3) == 0 ? "+/#" : "#"});
    if (below(3) == 0) book.entries.push_back({true, std::nullopt, "readwrite", "#"});
    for (std::size_t i = below(12); i != 0; --i) {
      Rulebook::Entry entry;
      entry.is_pattern = below(2) == 0;
      if (!entry.is_pattern && below(3) != 0) entry.user = "u" + std::to_string(1 + below(2));
      entry.access = accesses[below(accesses.size())];
      entry.filter = make_filter(entry.is_pattern);
      book.entries.push_back(std::move(entry));
    }
    return book;
  }

  Actor& add(const std::string& id, ProtocolVersion version) {
    static const std::vector<std::optional<std::string>> users = {std::nullopt, "u1", "u2", "u1",
                                                                  "u2",         "+",  "$d", "a/b"};
    return *actors_.emplace_back(std::make_unique<Actor>(*broker_, Person{id, users[below(users.size())]}, version));
  }
  void settle() { CHECK(broker_->settle()); }

  void connect(Actor& actor, bool clean, std::optional<WillOptions> will = {}) {
    ++actions;
    ConnectOptions options;
    options.clean_start = clean;
    options.expiry_interval = 3600;
    options.user_name = actor.person.user;
    options.will = std::move(will);
    actor.client.connect(options);
    settle();
  }
  // Whether it has one.
  bool connect_with_will(Actor& writer) {
    will_ = {make_topic(), "will", QoS::kAtLeastOnce, below(2) == 0, 0};
    connect(writer, true, will_);
    const bool allowed = book_.may(writer.person, Doing::kWrite, will_.topic);
    CHECK_EQUAL(allowed, !writer.notes.refused.has_value());
    if (allowed) return true;
    ++refused;
    if (writer.client.is_v5()) CHECK(writer.notes.refused == ReasonCode::kNotAuthorized);
    connect(writer, true);
    return false;
  }
  void come_back(Actor& actor) {
    connect(actor, false);
    // What was queued is looked at once more, by the rules of now.
    std::multiset<std::string> left;
    for (const std::string& payload : actor.expected) {
      if (book_.may(actor.person, Doing::kRead, topics_.at(payload))) left.insert(payload);
    }
    actor.expected = std::move(left);
    std::erase_if(shares_, [&](const Share& share) {
      return share.queued && !book_.may(actor.person, Doing::kRead, topics_.at(share.payload));
    });
    queued += static_cast<std::size_t>(
        std::count_if(shares_.begin(), shares_.end(), [](const Share& share) { return share.queued; }));
  }

  void subscribe(Actor& reader, const std::string& filter, bool shared_with_others = false) {
    ++actions;
    const SubscribeEntry entry{(shared_with_others ? "$share/g/" : "") + filter, {.maximum_qos = QoS::kExactlyOnce}};
    reader.client.subscribe({&entry, 1}, 0, 1);
    settle();
    const bool granted = !is_error(reader.notes.granted);
    std::size_t matching = 0;
    std::size_t allowed = 0;
    const std::vector<std::string> all = topics_for(reader.person);
    for (const std::string& topic : all) {
      if (!matches(filter, topic)) continue;
      ++matching;
      if (book_.may(reader.person, Doing::kRead, topic)) ++allowed;
    }
    const std::string what =
        filter + " of " + reader.person.id + ", " + std::to_string(allowed) + " allowed of " + std::to_string(matching);
    if (subset_) {
      // All of it may be allowed by several rules together, of which none covers the filter: that is refused.
      if (granted) CHECK_TRUE_TEXT(allowed == matching, what.c_str());
      if (!granted) CHECK_TRUE_TEXT(allowed != matching || !one_rule_covers(reader.person, filter, all), what.c_str());
    } else {
      // All that is allowed may be denied by several rules together: that is granted, and nothing comes of it.
      if (!granted) CHECK_TRUE_TEXT(allowed == 0, what.c_str());
      if (granted) CHECK_TRUE_TEXT(allowed != 0 || book_.denies() > 1, what.c_str());
    }
    if (!granted) {
      ++refused;
      CHECK(reader.notes.granted == ReasonCode::kNotAuthorized);
      return;
    }
    if (shared_with_others) {  // no retained messages
      reader.shares.insert(filter);
      return;
    }
    reader.filters.insert(filter);
    for (const auto& [topic, kept] : retained_) {
      if (!matches(filter, topic) || !book_.may(kept.publisher->person, Doing::kWrite, topic) ||
          !book_.may(reader.person, Doing::kRead, topic)) {
        continue;
      }
      reader.expected.insert(kept.payload);
    }
  }
  bool one_rule_covers(const Person& person, const std::string& filter, const std::vector<std::string>& all) {
    return std::any_of(book_.entries.begin(), book_.entries.end(), [&](const Rulebook::Entry& entry) {
      if (entry.access != "read" && entry.access != "readwrite") return false;
      return std::all_of(all.begin(), all.end(), [&](const std::string& topic) {
        return !matches(filter, topic) || book_.concerns(entry, person, topic);
      });
    });
  }

  void publish(Actor& writer, QoS qos) {
    ++actions;
    const std::string topic = make_topic();
    const std::string payload = "m" + std::to_string(actions);
    const bool retain = below(2) == 0;
    writer.notes.acked.reset();
    writer.client.publish({.topic = topic, .payload = payload, .qos = qos, .retain = retain});
    settle();
    const bool allowed = book_.may(writer.person, Doing::kWrite, topic);
    if (qos != QoS::kAtMostOnce && writer.client.is_v5()) {
      CHECK_EQUAL_TEXT(!allowed, writer.notes.acked == ReasonCode::kNotAuthorized, topic.c_str());
    }
    if (!allowed) ++refused;
    expect_message(topic, payload, writer, qos, retain);
  }
  // What becomes of a message by the rules of now.
  void expect_message(const std::string& topic, const std::string& payload, const Actor& writer, QoS qos, bool retain) {
    topics_[payload] = topic;
    if (!book_.may(writer.person, Doing::kWrite, topic)) return;
    if (retain) retained_[topic] = {payload, &writer};
    for (const auto& reader : actors_) {
      const bool wanted = std::any_of(reader->filters.begin(), reader->filters.end(),
                                      [&](const std::string& filter) { return matches(filter, topic); });
      if (wanted && book_.may(reader->person, Doing::kRead, topic)) reader->expected.insert(payload);
    }
    const std::set<std::string> groups(shared_filters_.begin(), shared_filters_.end());
    for (const std::string& filter : groups) {
      if (matches(filter, topic)) expect_share(filter, topic, payload, qos);
    }
  }
  // One of the members who are there and may have it, else one who is away and may, with QoS 1 and 2.
  void expect_share(const std::string& filter, const std::string& topic, const std::string& payload, QoS qos) {
    Share there{payload, {}, false};
    Share away{payload, {}, true};
    std::size_t others = 0;
    for (const auto& member : actors_) {
      if (!member->shares.contains(filter)) continue;
      if (!book_.may(member->person, Doing::kRead, topic)) {
        ++others;
      } else {
        (member->client.is_online() ? there : away).candidates.push_back(member.get());
      }
    }
    if (!there.candidates.empty()) {
      if (others != 0) ++passed_over;
      shares_.push_back(std::move(there));
    } else if (!away.candidates.empty() && qos != QoS::kAtMostOnce) {
      shares_.push_back(std::move(away));
    } else if (others != 0) {
      ++nobodys;
    }
  }

  void change_rules() {
    book_ = make_book();
    gatekeeper_.take(book_);
    for (std::uint32_t i = 0; i != broker_->reactors(); ++i) broker_->broker().shard(i).check_all_deliveries();
  }

  // Everybody who has subscribed is there.
  void compare(const char* when) {
    for (const auto& actor : actors_) delivered += actor->notes.got.size();
    shared += shares_.size();
    // What came through groups is taken away first, in whatever way leaves to each what it must have for itself.
    const bool shared_out = share_out(0);
    for (const auto& actor : actors_) {
      STRCMP_EQUAL_TEXT(listed(actor->expected).c_str(), listed(actor->notes.got).c_str(), when);
      actor->notes.got.clear();
      actor->expected.clear();
    }
    CHECK_TRUE_TEXT(shared_out, when);
    shares_.clear();
  }
  // Whether the shares from `first` on can have gone to one candidate each; takes them from what these have got.
  bool share_out(std::size_t first) {
    if (first == shares_.size()) return true;
    const Share& share = shares_[first];
    for (const auto& actor : actors_) {
      if (std::find(share.candidates.begin(), share.candidates.end(), actor.get()) == share.candidates.end()) continue;
      std::multiset<std::string>& got = actor->notes.got;
      if (got.count(share.payload) <= actor->expected.count(share.payload)) continue;
      got.erase(got.find(share.payload));
      if (share_out(first + 1)) return true;
      got.insert(share.payload);
    }
    return false;
  }

  struct Kept {
    std::string payload;
    const Actor* publisher;
  };

  SimulatedRandom random_;
  std::mt19937 choices_;
  Rulebook book_;
  bool subset_ = false;
  Gatekeeper gatekeeper_;
  PassthroughPublisher publisher_;
  std::optional<SimulatedBroker> broker_;
  std::vector<std::unique_ptr<Actor>> actors_;
  WillOptions will_;
  std::array<std::string, 2> shared_filters_;  // of the only groups there are
  std::vector<Share> shares_;
  std::map<std::string, Kept> retained_;
  std::map<std::string, std::string> topics_;  // by payload
};

}  // namespace

TEST_GROUP(AccessReference) {
  std::uint32_t seed = 0;
  bool done = false;

  void teardown() override {
    if (!done) std::printf("the round of MQLOOP_ACCESS_SEED=%u\n", seed);
  }
};

TEST(AccessReference, every_path_does_what_the_rules_say) {
  const char* only = std::getenv("MQLOOP_ACCESS_SEED");
  std::size_t actions = 0;
  std::size_t refused = 0;
  std::size_t delivered = 0;
  std::size_t shared = 0;
  std::size_t passed_over = 0;
  std::size_t queued = 0;
  std::size_t nobodys = 0;
  const auto run = [&] {
    Round round(seed);
    round.run();
    actions += round.actions;
    refused += round.refused;
    delivered += round.delivered;
    shared += round.shared;
    passed_over += round.passed_over;
    queued += round.queued;
    nobodys += round.nobodys;
  };
  if (only != nullptr) {
    seed = static_cast<std::uint32_t>(std::strtoul(only, nullptr, 10));
    run();
  } else {
    for (seed = 1; seed <= kRounds; ++seed) run();
    // It is a test only if much of both happened.
    CHECK(actions >= 10'000);
    CHECK(refused > actions / 10);
    CHECK(delivered > actions / 10);
    CHECK(shared > actions / 10);
    CHECK(passed_over > actions / 200);
    CHECK(queued > actions / 200);
    CHECK(nobodys > actions / 100);
  }
  done = true;
}
