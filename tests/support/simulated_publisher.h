// A publisher with the two-step interface whose answers and delays come from a seed: it admits, holds, acknowledges
// later, discards, refuses, completes turns when it feels like it but in their order, and has a backlog now and then.
// It keeps nothing. It holds the broker to its side of <mqloop/publisher.h>: each broken rule is a line in faults().
// For loops that share one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mqloop/publisher.h>

#include "tests/support/simulated_random.h"

namespace mqloop::sim {

struct SimulatedPublisherOptions {
  unsigned later_percent = 30;  // routed and acknowledged later; at once is what is left
  unsigned hold_percent = 30;   // held, and acknowledged later
  unsigned pass_percent = 0;    // of those that are left: kPassThrough
  unsigned discard_percent = 0;
  bool durable_only = false;            // it hears of nothing else
  bool hold_exactly_once_only = false;  // of what is held: deliveries of QoS 2
  unsigned events_later_percent = 0;    // of events whose answer can make something wait
  bool hold_qos0 = false;               // all of QoS 0, else none of it: one topic's messages keep their order
  unsigned subscribe_later_percent = 30;
  unsigned subscribe_refused_percent = 0;
  unsigned backlog_percent = 0;            // of turns, after which it is full for a while
  unsigned complete_in_flush_percent = 0;  // of turns that can be completed at once
  std::chrono::milliseconds longest_delay{50};
};

class SimulatedPublisher final : public Publisher {
 public:
  // What became of a message, by its payload.
  struct Fate {
    unsigned admitted = 0;  // how often, discards included
    unsigned discarded = 0;
    bool later = false;  // acknowledged when its turn is complete; of the latest, as what follows
    Hold hold = Hold::kNothing;
    bool complete = false;  // its turn is
  };

  SimulatedPublisher(const SimulatedPublisherOptions& options, SimulatedRandom& random);
  ~SimulatedPublisher() override;

  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override {
    PublisherCapabilities capabilities;
    capabilities.durable_only = options_.durable_only;
    return capabilities;
  }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override;
  void close() noexcept override;

  // From here on nothing is refused, discarded or full.
  void calm_down() noexcept;
  // On the thread of the loops, between turns: a message from another node, at reactor `reactor`.
  void bring(std::uint32_t reactor, Ref<const Message> message);

  // Null: it was never asked about it.
  [[nodiscard]] const Fate* fate_of(const std::string& payload) const;
  // Messages that shared groups have and no member: neither delivered nor done with.
  [[nodiscard]] std::size_t left_to_groups() const noexcept { return groups_.size(); }
  [[nodiscard]] const std::vector<std::string>& faults() const noexcept { return faults_; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }

 private:
  class Shard;
  struct Turn {
    std::uint64_t targets = 0;
    std::uint64_t given = 0;  // targets whose RecipientBlock is there
    bool flushed = false;
    std::map<std::uint64_t, std::string> payloads;  // by number
  };
  struct Source {
    std::uint64_t first = 1;  // number of turns.front()
    std::deque<Turn> turns;
  };
  struct Task {
    SimulatedPublisher& publisher;
    std::uint32_t reactor;
    std::function<void()> run;
  };
  struct Session {
    std::string client_id;
    std::uint32_t home = 0;
    bool connected = false;
    bool ended = false;
    std::set<std::string> filters;
    std::map<std::uint16_t, std::uint64_t> window;      // packet identifier -> delivery
    std::map<std::uint64_t, std::uint16_t> deliveries;  // and back; 0: it has none yet
  };

  void fault(const std::string& what);
  [[nodiscard]] Turn* find_turn(const TurnId& turn);
  void give_to_group(std::string_view group, const std::string& payload);
  void take_from_group(std::string_view group, const std::string& payload, const char* by);
  // Tells source and targets of the turns that are complete: the source now, or all after a while.
  void complete(std::uint32_t source, bool source_at_once);

  SimulatedPublisherOptions options_;
  SimulatedRandom& random_;
  std::vector<Shard*> shards_;  // by reactor; null: gone
  std::map<std::uint32_t, Source> sources_;
  std::map<std::uint64_t, Session> sessions_;
  std::map<std::string, Fate> fates_;
  std::map<std::uint64_t, std::string> numbers_;                    // payloads of messages, by number
  std::map<std::pair<std::string, std::string>, unsigned> groups_;  // what a group has of a payload
  std::deque<Task> tasks_;                                          // addresses stay
  std::vector<std::string> faults_;
  bool closed_ = false;
};

}  // namespace mqloop::sim
