// What a seed chooses: every feature and every fault is on in some runs and off in others, so that each meets each.
#include "tests/sim/simulation.h"

namespace mqloop::sim {

Scenario Scenario::from(SimulatedRandom& random, Kind kind) {
  Scenario s;
  s.reactors = static_cast<std::uint32_t>(random.between(1, 4));
  s.clients = static_cast<int>(random.between(2, 8));
  s.actions = static_cast<int>(random.between(100, 600));
  s.two_steps = random.chance(55);
  for (bool* feature : {&s.splits, &s.breaks, &s.take_overs, &s.delays_acks, &s.retains, &s.clears, &s.wills,
                        &s.keep_alive, &s.long_pauses, &s.persistent}) {
    *feature = random.chance(50);
  }
  for (bool* feature :
       {&s.narrow, &s.slow_readers, &s.vanishes, &s.expires, &s.aliases, &s.large, &s.small_windows, &s.foreign}) {
    *feature = random.chance(25);
  }
  s.shares = random.chance(50);
  s.shares_with_qos0 = random.chance(30);
  s.eager = random.chance(50);
  s.deserts = random.chance(25);
  s.slow_reactors = random.chance(50);
  s.small_backlogs = s.reactors != 1 && random.chance(40);
  s.small_queues = random.chance(12);
  s.small_buffers = random.chance(25);
  switch (random.below(4)) {
    case 0:
      s.versions = {ProtocolVersion::kV5};
      break;
    case 1:
      s.versions = {ProtocolVersion::kV311};
      break;
    default:
      s.versions = {ProtocolVersion::kV5, ProtocolVersion::kV311, ProtocolVersion::kV5, ProtocolVersion::kV31};
      break;
  }
  s.publisher.later_percent = static_cast<unsigned>(random.pick<int>({0, 30, 60}));
  s.publisher.hold_percent = static_cast<unsigned>(random.pick<int>({0, 30, 40}));
  s.publisher.discard_percent = random.chance(20) ? 10 : 0;
  s.publisher.hold_qos0 = random.chance(20);
  s.publisher.subscribe_later_percent = static_cast<unsigned>(random.pick<int>({0, 30, 100}));
  s.publisher.subscribe_refused_percent = random.chance(20) ? 10 : 0;
  s.publisher.backlog_percent = random.chance(20) ? 5 : 0;
  s.publisher.complete_in_flush_percent = static_cast<unsigned>(random.pick<int>({0, 50, 100}));
  s.publisher.durable_only = random.chance(40);
  if (s.publisher.durable_only) s.publisher.hold_qos0 = false;
  s.publisher.hold_exactly_once_only = random.chance(50);
  s.publisher.events_later_percent = static_cast<unsigned>(random.pick<int>({0, 30, 100}));
  s.publisher.pass_percent = static_cast<unsigned>(random.pick<int>({0, 30}));
  s.publisher.longest_delay = std::chrono::milliseconds(random.pick<int>({0, 5, 200}));
  s.slices = random.chance(40);
  if (kind == Kind::kLasting) return s;
  s.crashes = true;
  s.write_percent = static_cast<unsigned>(random.pick<int>({3, 15, 60}));
  s.checkpoint_frames = static_cast<std::uint32_t>(random.pick<int>({1, 30, 300}));
  // What of these a crash may do twice, or undo, the model does not know.
  s.two_steps = s.wills = s.shares = false;
  return s;
}

std::string Scenario::text() const {
  std::string text = std::to_string(reactors) + " reactors, " + std::to_string(clients) + " clients, " +
                     (crashes     ? "publisher_sqlite"
                      : two_steps ? "publisher in two steps"
                                  : "passthrough publisher");
  const std::pair<const char*, bool> flags[] = {
      {"splits", splits},
      {"narrow", narrow},
      {"slow_readers", slow_readers},
      {"breaks", breaks},
      {"vanishes", vanishes},
      {"take_overs", take_overs},
      {"delays_acks", delays_acks},
      {"retains", retains},
      {"clears", clears},
      {"wills", wills},
      {"keep_alive", keep_alive},
      {"long_pauses", long_pauses},
      {"persistent", persistent},
      {"expires", expires},
      {"aliases", aliases},
      {"large", large},
      {"small_windows", small_windows},
      {"small_queues", small_queues},
      {"small_buffers", small_buffers},
      {"foreign", foreign && two_steps},
      {"shares", shares},
      {"eager", shares && eager},
      {"deserts", deserts},
      {"slow_reactors", slow_reactors},
      {"small_backlogs", small_backlogs},
      {"slices", slices},
      {"discards", two_steps && publisher.discard_percent != 0},
      {"holds_qos0", two_steps && publisher.hold_qos0},
      {"durable_only", two_steps && publisher.durable_only},
      {"holds_exactly_once_only", two_steps && publisher.hold_exactly_once_only},
      {"events_later", two_steps && publisher.events_later_percent != 0},
      {"passes", two_steps && publisher.pass_percent != 0},
      {"backlog", two_steps && publisher.backlog_percent != 0},
  };
  for (const auto& [name, on] : flags) {
    if (on) text.append(", ").append(name);
  }
  return text;
}

}  // namespace mqloop::sim
