// Stands between a broker and its publisher, hands on every call of either, and notes what becomes of each message that
// a shared subscription's group has: the story that the publisher is told of it. For loops that share one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <mqloop/publisher.h>

namespace mqloop::conformance {

class Witness final : public Publisher {
 public:
  // One word of a story: `given` (named in a RecipientBlock), `complete` (the turn, at the group's owner, where the
  // message is held), `delivered`, `acknowledged`, `dropped`, `returned`, `done`.
  struct Word {
    std::string what;
    std::uint64_t session = 0;  // of a member
    std::uint32_t reactor = 0;  // that said it
  };
  using Story = std::vector<Word>;

  explicit Witness(Publisher& publisher) noexcept : publisher_(publisher) {}

  // Of the message with this payload in this group.
  [[nodiscard]] const Story& story(const std::string& payload, const std::string& group) {
    return stories_[{payload, group}];
  }
  // Its words, each followed by a blank.
  [[nodiscard]] std::string told(const std::string& payload, const std::string& group) {
    std::string text;
    for (const Word& word : story(payload, group)) text += word.what + ' ';
    return text;
  }
  [[nodiscard]] bool was_held(const std::string& payload) const { return held_.contains(payload); }
  // What the broker said out of turn.
  [[nodiscard]] const std::vector<std::string>& faults() const noexcept { return faults_; }

  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return publisher_.capabilities(); }
  Status open(Log& log) override { return publisher_.open(log); }
  Status recover(Recovery& recovery) override { return publisher_.recover(recovery); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override;
  void close() noexcept override { publisher_.close(); }

 private:
  class Shard;
  using Key = std::pair<std::string, std::string>;  // payload, group
  struct Waiting {
    Key key;
    std::uint32_t owner;
  };

  Publisher& publisher_;
  std::map<Key, Story> stories_;
  std::set<std::string> held_;
  // By source and turn: held messages that groups have.
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::vector<Waiting>> incomplete_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Key> with_members_;  // by session and delivery
  std::set<std::uint64_t> ended_;
  std::vector<std::string> faults_;
};

}  // namespace mqloop::conformance
