// Every way in which a connection can end, with every order of Will Delay Interval and Session Expiry Interval: when
// its will is published (3.1.2.5, 3.1.3.2.2). The standard in one sentence: at the end of the delay or of the session,
// whichever is first, unless DISCONNECT 0x00 or a client that resumes the session before that has taken it away.
#include <algorithm>
#include <optional>
#include <string>

#include "core/broker/shard.h"
#include "tests/unit/broker/broker_world.h"

namespace {

using namespace mqloop;
using namespace mqloop::sim;
using namespace std::chrono_literals;
using broker::test::World;

enum class End : std::uint8_t {
  kReset,
  kEndOfStream,
  kBrokenRule,
  kKeepAlive,
  kDisconnect,
  kDisconnectWithWill,
  kDisconnectThatEndsTheSession,
  kDisconnectWithAnError,
  kTakenOver,
  kTakenOverWithCleanStart,
};
constexpr End kEnds[] = {
    End::kReset,
    End::kEndOfStream,
    End::kBrokenRule,
    End::kKeepAlive,
    End::kDisconnect,
    End::kDisconnectWithWill,
    End::kDisconnectThatEndsTheSession,
    End::kDisconnectWithAnError,
    End::kTakenOver,
    End::kTakenOverWithCleanStart,
};

// What becomes of the client afterwards.
enum class Later : std::uint8_t { kNothing, kResumes, kStartsAnew };
constexpr std::uint32_t kReturn = 4;  // seconds

constexpr std::uint32_t kNever = 0xFFFFFFFF;

struct Case {
  std::uint32_t delay;
  std::uint32_t expiry;
  End end;
  Later later;
};

// Seconds after the end of the connection; nothing: no will at all.
std::optional<std::uint32_t> due(const Case& one) {
  const std::uint32_t due = std::min(one.delay, one.expiry);
  switch (one.end) {
    case End::kDisconnect:
      return std::nullopt;
    case End::kDisconnectThatEndsTheSession:
    case End::kTakenOverWithCleanStart:
      return 0;
    case End::kTakenOver:
      return due == 0 ? std::optional(0U) : std::nullopt;
    default:
      break;
  }
  if (due <= kReturn || one.later == Later::kNothing) return due;
  return one.later == Later::kStartsAnew ? std::optional(kReturn) : std::nullopt;
}

bool is_take_over(End end) { return end == End::kTakenOver || end == End::kTakenOverWithCleanStart; }

// Ends the connection of `client` and returns when that is done.
void bring_about(End end, World& world, TranscriptClient& client, TranscriptClient& other, std::uint32_t expiry) {
  const std::uint8_t broken[] = {0xC1, 0x00};
  switch (end) {
    case End::kReset:
      client.reset();
      break;
    case End::kEndOfStream:
      client.finish();
      break;
    case End::kBrokenRule:
      client.send_bytes(broken);
      break;
    case End::kKeepAlive:
      for (int i = 0; i != 100 && world.heard(client).empty(); ++i) world.broker.pass(100ms);
      break;
    case End::kDisconnect:
      client.disconnect(ReasonCode::kNormalDisconnection);
      break;
    case End::kDisconnectWithWill:
      client.disconnect(ReasonCode::kDisconnectWithWillMessage);
      break;
    case End::kDisconnectThatEndsTheSession:
      client.disconnect(ReasonCode::kDisconnectWithWillMessage, 0);
      break;
    case End::kDisconnectWithAnError:
      client.disconnect(ReasonCode::kUnspecifiedError);
      break;
    case End::kTakenOver:
    case End::kTakenOverWithCleanStart:
      other.connect({.clean_start = end == End::kTakenOverWithCleanStart, .expiry_interval = expiry});
      break;
  }
  CHECK(world.broker.settle());
}

void check(const Case& one) {
  World world(1 + one.delay + static_cast<std::uint64_t>(one.end), 1 + one.delay % 2);
  world.start();
  TranscriptClient watcher(world.broker.network(), "watcher");
  TranscriptClient client(world.broker.network(), "sensor7");
  TranscriptClient other(world.broker.network(), "sensor7");
  watcher.connect();
  watcher.subscribe("gone", 1);
  HEARS(watcher, "CONNACK 00 | SUBACK 00");
  client.connect({.keep_alive = static_cast<std::uint16_t>(one.end == End::kKeepAlive ? 2 : 0),
                  .expiry_interval = one.expiry,
                  .will_topic = "gone",
                  .will_delay = one.delay});
  HEARS(client, "CONNACK 00");
  bring_about(one.end, world, client, other, one.expiry);

  const std::string name = "delay " + std::to_string(one.delay) + ", expiry " + std::to_string(one.expiry) + ", end " +
                           std::to_string(static_cast<int>(one.end)) + ", later " +
                           std::to_string(static_cast<int>(one.later));
  std::optional<std::uint32_t> heard;
  // Twice a second; the clock of the broker is not finer than a second in either direction.
  for (std::uint32_t half = 0; half != 60; ++half) {
    if (half == 2 * kReturn && one.later != Later::kNothing) {
      other.connect({.clean_start = one.later == Later::kStartsAnew, .expiry_interval = one.expiry});
    }
    const std::string said = world.heard(watcher);
    if (!said.empty()) {
      STRCMP_EQUAL_TEXT("PUBLISH gone will", said.c_str(), name.c_str());
      CHECK_FALSE_TEXT(heard.has_value(), name.c_str());
      heard = half;
    }
    world.broker.pass(500ms);
  }
  const std::optional<std::uint32_t> expected = due(one);
  CHECK_EQUAL_TEXT(expected.has_value(), heard.has_value(), name.c_str());
  if (expected) CHECK_TEXT(*heard >= 2 * *expected && *heard <= 2 * *expected + 3, name.c_str());
}

}  // namespace

TEST_GROUP(Wills){};

TEST(Wills, cve_2019_11778_come_when_delay_or_session_ends_however_the_connection_ended) {
  for (const std::uint32_t delay : {0U, 2U, 8U, 20U}) {
    for (const std::uint32_t expiry : {0U, 2U, 8U, 15U, kNever}) {
      for (const End end : kEnds) check({delay, expiry, end, Later::kNothing});
    }
  }
}

TEST(Wills, cve_2019_11778_are_taken_away_by_a_client_that_resumes_in_time_and_hastened_by_one_that_starts_anew) {
  for (const std::uint32_t delay : {0U, 2U, 8U, 20U}) {
    for (const std::uint32_t expiry : {0U, 2U, 8U, 15U, kNever}) {
      for (const End end : kEnds) {
        if (is_take_over(end)) continue;
        check({delay, expiry, end, Later::kResumes});
        check({delay, expiry, end, Later::kStartsAnew});
      }
    }
  }
}

// Sessions end with the broker, so a will that waits for its delay is due.
TEST(Wills, broker_that_stops_publishes_also_those_that_wait) {
  for (const bool publishes : {true, false}) {
    World world(1, 2);
    world.broker.settings().shutdown.publish_wills = publishes;
    world.start();
    TranscriptClient watcher(world.broker.network(), "watcher");
    TranscriptClient away(world.broker.network(), "away");
    TranscriptClient connected(world.broker.network(), "connected");
    TranscriptClient left(world.broker.network(), "left");
    watcher.connect();
    watcher.subscribe("gone", 1);
    HEARS(watcher, "CONNACK 00 | SUBACK 00");
    for (TranscriptClient* client : {&away, &connected, &left}) {
      client->connect({.expiry_interval = 1000, .will_topic = "gone", .will_delay = 100});
    }
    CHECK(world.broker.settle());
    away.reset();
    left.disconnect(ReasonCode::kNormalDisconnection);
    HEARS(watcher, "");
    world.stop();
    const char* const expected =
        publishes ? "PUBLISH gone will | PUBLISH gone will | DISCONNECT 8b | closed" : "DISCONNECT 8b | closed";
    STRCMP_EQUAL(expected, watcher.take().c_str());
  }
}
