#include "core/broker/shard.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>
#include <string>
#include <utility>

#include "core/broker/broker.h"

namespace mqloop::broker {

namespace {

constexpr std::chrono::milliseconds kProgressCheck{1000};
constexpr std::chrono::milliseconds kSweepPause{1000};
// Nodes of the retained store looked at in one slice of the sweep for expired messages.
constexpr std::size_t kSweepSlice = 1000;
// Where a slice found many of them, the next one comes soon: else they could expire faster than they are removed.
constexpr std::size_t kManyExpired = kSweepSlice / 10;
constexpr std::chrono::milliseconds kShortSweepPause{10};

// Carries a fresh stream, or a connection that goes to its session's home, to another reactor.
class StreamMail final : public event::MailNode {
 public:
  StreamMail(Shard& target, std::unique_ptr<Stream> stream, ListenerGate& gate)
      : target_(target), stream_(std::move(stream)), gate_(gate) {}
  void run() noexcept override { target_.adopt(std::move(stream_), gate_); }

 private:
  Shard& target_;
  std::unique_ptr<Stream> stream_;
  ListenerGate& gate_;
};

class ArrivalMail final : public event::MailNode {
 public:
  ArrivalMail(Shard& target, Arrival arrival) : target_(target), arrival_(std::move(arrival)) {}
  void run() noexcept override { target_.arrive(std::move(arrival_)); }

 private:
  Shard& target_;
  Arrival arrival_;
};

}  // namespace

Shard::Shard(Broker& broker, event::Loop& loop, HashSeed seed)
    : broker_(broker),
      loop_(loop),
      seed_(seed),
      sessions_(*this),
      current_(std::make_unique<Generation>(loop, broker.configuration(), nullptr)),
      views_(broker.listener_views()),
      delivery_(*this),
      credits_(*this, broker.reactors()),
      fan_outs_(*this),
      publishing_(*this, broker.publisher(), broker.reactors()),
      replays_(*this),
      delivery_access_(*this),
      wills_(*this),
      refusal_log_(loop.log(), seed),
      trouble_(*this),
      shared_groups_(*this, seed),
      shared_members_(*this),
      shared_mail_(*this, broker.reactors()) {}

Shard::~Shard() { loop_.set_turn_handler(nullptr); }

Status Shard::start() {
  loop_.set_turn_handler(this);
  if (Status status = hooks().start(); !status.ok()) return status;
  publishing_.start(*this);
  settings_have_changed();
  return ok();
}

void Shard::restored(const Session& session, std::chrono::seconds remaining, bool was_connected) {
  restored_.push_back({session.slot(), session.number(), remaining, was_connected});
}

void Shard::begin() {
  for (const Restored& restored : std::exchange(restored_, {})) {
    Session* session = sessions_.at(restored.slot, restored.number);
    if (session == nullptr) continue;
    if (restored.was_connected) (void)publishing_.session_event(SessionEventKind::kDisconnected, *session);
    session->away(restored.remaining);
    if (session->will() && session->will()->delay_interval == 0) wills_.publish(*session);
  }
  shared_groups_.begin();
}

// ---- another configuration -----------------------------------------------------------------------------------------

Status Shard::prepare(Ref<const BrokerConfiguration> next) {
  prepared_ = std::make_unique<Generation>(loop_, std::move(next), current_.get());
  Status status = prepared_->hooks.start();
  if (!status.ok()) prepared_ = nullptr;
  return status;
}

void Shard::discard_prepared() noexcept { prepared_ = nullptr; }

void Shard::switch_to_prepared(std::vector<ListenerView> views) {
  std::unique_ptr<Generation> before = std::exchange(current_, std::move(prepared_));
  const std::vector<ListenerView> views_before = std::exchange(views_, std::move(views));
  std::vector<ConnectionHandle> closing;
  connections_.for_each([&](ConnectionHandle handle, Connection& connection) {
    if (connection.listener_is_closed()) closing.push_back(handle);
    if (connection.listener_is_closed() || connection.is_being_judged()) before->users.push_back(handle);
    if (!connection.listener_is_closed()) connection.configuration_has_changed(views_before);
  });
  check_all_deliveries();
  follow_listeners(before->configuration->settings);
  for (const ConnectionHandle handle : closing) {
    find(handle)->close(ReasonCode::kAdministrativeAction, "its listener is not in the configuration any more");
  }
  draining_.push_back(std::move(before));
  settings_have_changed();
  loop_.request_turn();
}

// A session goes by what is said now of the listener that its client came by last.
void Shard::follow_listeners(const BrokerSettings& before) {
  const std::vector<ListenerSettings>& listeners = settings().listeners;
  std::vector<const ListenerSettings*> now;
  for (const ListenerSettings& listener : before.listeners) {
    const auto found = std::find_if(listeners.begin(), listeners.end(),
                                    [&listener](const auto& other) { return other.name == listener.name; });
    now.push_back(found == listeners.end() ? nullptr : &*found);
  }
  sessions_.for_each([&](Session& session) {
    if (session.listener() != nullptr) session.set_listener(now[session.listener() - before.listeners.data()]);
  });
}

// What is set up once by the settings, at the start and after a change. What only looks at them needs nothing here.
void Shard::settings_have_changed() {
  if (index() == 0 && limits().retain.enabled && !sweep_timer_.armed()) {
    loop_.timers().start(sweep_timer_, loop_.now() + kSweepPause);
  }
}

void Shard::let_go_of_drained() {
  std::erase_if(draining_, [this](std::unique_ptr<Generation>& generation) {
    std::erase_if(generation->users, [this](ConnectionHandle handle) {
      const Connection* connection = find(handle);
      return connection == nullptr || (!connection->is_being_judged() && !connection->listener_is_closed());
    });
    if (!generation->users.empty() || generation->hooks.is_waiting()) return false;
    generation->hooks.stop();
    broker_.let_go(std::move(generation));
    return true;
  });
}

// ---- what all reactors share ---------------------------------------------------------------------------------------

RouteTable& Shard::routes() const noexcept { return broker_.routes(); }
RetainedStore& Shard::retained() const noexcept { return broker_.retained(); }
RetainedStore& Shard::retained_for(std::string_view filter) const noexcept {
  return is_brokers_own(filter) ? broker_.own_values() : broker_.retained();
}
ClientDirectory& Shard::directory() const noexcept { return broker_.directory(); }
Shard& Shard::peer(std::uint32_t index) const noexcept { return broker_.shard(index); }
std::uint32_t Shard::reactors() const noexcept { return broker_.reactors(); }
std::uint64_t Shard::next_session_number() noexcept { return broker_.next_session_number(); }

const Chain* Shard::chain_named(std::string_view name) const noexcept {
  for (const Chain& chain : current_->configuration->components.chains) {
    if (chain.name == name) return &chain;
  }
  return nullptr;
}

std::uint64_t Shard::client_key(std::string_view client_id) const noexcept {
  return seeded_hash(broker_.client_key_seed(), client_id) | 1;
}

std::string Shard::make_client_id() {
  // A keyed hash of a counter: no two alike on this reactor, and without the key none can be foretold.
  std::string id = "mqloop-" + std::to_string(index());
  for (int half = 0; half != 2; ++half) {
    const std::string count = std::to_string(++client_ids_made_);
    std::array<char, 16> digits;
    const auto end = std::to_chars(digits.begin(), digits.end(), seeded_hash(seed_, count), 16).ptr;
    id.append("-").append(digits.begin(), end);
  }
  return id;
}

// ---- connections ---------------------------------------------------------------------------------------------------

Connection* Shard::make_connection(std::unique_ptr<Stream> stream, ListenerGate& gate) {
  if (stopping_ || listener_is_closed(gate)) {
    gate.left(*stream);
    load_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  counters_.connections_open.add();
  const auto created = connections_.emplace(*this, std::move(stream), gate);
  created.object->set_handle(created.handle);
  return created.object;
}

void Shard::post_stream(std::unique_ptr<Stream> stream, ListenerGate& gate) {
  loop_.post(std::make_unique<StreamMail>(*this, std::move(stream), gate));
}

void Shard::adopt(std::unique_ptr<Stream> stream, ListenerGate& gate) {
  Connection* connection = make_connection(std::move(stream), gate);
  if (connection == nullptr) return;
  counters_.connections_accepted.add();
  if (const Status status = connection->start(); !status.ok()) connection->drop(status.message());
}

void Shard::arrive(Arrival arrival) {
  const std::string client_id = arrival.client_id;
  Connection* connection = make_connection(std::move(arrival.stream), *arrival.gate);
  if (connection == nullptr) {
    directory().abandoned(client_id);
    return;
  }
  if (const Status status = connection->start(std::move(arrival)); !status.ok()) connection->drop(status.message());
}

void Shard::send_home(std::uint32_t home, Arrival arrival) {
  Shard& target = peer(home);
  target.expect_connection();
  target.loop().post(std::make_unique<ArrivalMail>(target, std::move(arrival)));
}

Connection* Shard::find(ConnectionHandle handle) noexcept { return connections_.find(handle); }

void Shard::mark_dirty(Connection& connection) {
  if (connection.in_dirty_list) return;
  connection.in_dirty_list = true;
  dirty_.push_back(connection.handle());
  loop_.request_turn();
}

void Shard::resume_later(Connection& connection) {
  if (connection.in_resume_list) return;
  connection.in_resume_list = true;
  resuming_.push_back(connection.handle());
  loop_.request_turn();
}

void Shard::pause(Connection& connection) { paused_.push_back(connection.handle()); }

void Shard::close_later(Connection& connection, ReasonCode code, std::string_view reason) {
  closing_.push_back({connection.handle(), code, std::string(reason)});
  loop_.request_turn();
}

void Shard::watch_progress(Connection& connection) {
  blocked_.push_back(connection.handle());
  if (!progress_timer_.armed()) loop_.timers().start(progress_timer_, loop_.now() + kProgressCheck);
}

void Shard::check_progress() noexcept {
  std::erase_if(blocked_, [this](ConnectionHandle handle) {
    Connection* connection = find(handle);
    if (connection == nullptr || !connection->is_blocked()) return true;
    if (!connection->is_stalled()) return false;
    connection->drop("the client took nothing for limits.output.stall");
    return true;
  });
  if (!blocked_.empty()) loop_.timers().start(progress_timer_, loop_.now() + kProgressCheck);
}

void Shard::retire(Connection& connection) {
  retired_.push_back(connection.handle());
  loop_.request_turn();
}

void Shard::check_all_deliveries() noexcept {
  sessions_.for_each([](Session& session) {
    if (session.principal()) session.check_deliveries(Subscriber::kCheckDelivery);
  });
}

void Shard::log_session_expired(const Session& session) {
  if (!log().enabled(LogLevel::kInfo, "session")) return;
  const std::string drops = session.drops() == nullptr ? std::string() : session.drops()->text();
  const LogField fields[] = {{"client", session.client_id()}, {"drops", drops}};
  log().write(LogLevel::kInfo, "session", "expired", std::span(fields, drops.empty() ? 1 : 2));
}

void Shard::drop(Session& session, DropCause cause, std::uint64_t amount) {
  counters_.drop(cause, amount);
  if (!session.make_drops().add(cause, amount) || !is_a_loss(cause)) return;
  LogBrake& brake = drop_log_[static_cast<std::size_t>(cause)];
  if (!brake.may_log(loop_.now()) || !log().enabled(LogLevel::kWarn, "delivery")) return;
  const std::uint64_t left_out = brake.take_left_out();
  const std::string others = std::to_string(left_out);
  const LogField fields[] = {{"client", session.client_id()}, {"cause", name_of(cause)}, {"other_clients", others}};
  log().write(LogLevel::kWarn, "delivery", "dropping messages", std::span(fields, left_out == 0 ? 2 : 3));
}

void Shard::trace_packet(const Connection& connection, std::string_view direction, mqtt::PacketType type) {
  const std::string_view client =
      connection.session() != nullptr ? connection.session()->client_id() : std::string_view();
  log().write(LogLevel::kTrace, "packet", direction,
              {{"type", mqtt::name_of(type)}, {"client", client}, {"from", connection.peer_address()}});
}

void Shard::sweep_retained() noexcept {
  RetainedStore& store = retained();
  if (!sweep_) {
    sweep_.reset(
        new RetainedCursor(RetainedCursor::everything(store, index())));  // NOLINT: built in place, never moved
  }
  const MonotonicTime now = loop_.now();
  std::vector<Ref<const Message>> expired;
  const bool more = store.sweep(
      *sweep_, [now](const Message& message) { return has_expired(message, now); }, kSweepSlice, expired);
  if (!expired.empty()) counters_.drop(DropCause::kRetainedExpired, expired.size());
  if (!more) sweep_.reset();
  loop_.timers().start(sweep_timer_, now + (more && expired.size() >= kManyExpired ? kShortSweepPause : kSweepPause));
}

// ---- the publisher -------------------------------------------------------------------------------------------------

void Shard::deliver(Ref<const Message> message) noexcept { publishing_.deliver_foreign(std::move(message)); }

void Shard::complete_through(std::uint32_t source, std::uint64_t number) noexcept {
  publishing_.complete_through(source, number);
}

void Shard::set_backlog(Backlog level) noexcept { hold_publishers(kBacklog, level == Backlog::kFull); }

void Shard::set_trouble(ReasonCode reason) noexcept { trouble_.set(reason); }

void Shard::hold_publishers(Hold why, bool on) {
  publisher_holds_ = static_cast<std::uint8_t>(on ? publisher_holds_ | why : publisher_holds_ & ~why);
  if (publisher_holds_ != 0 || paused_.empty()) return;
  for (const ConnectionHandle handle : std::exchange(paused_, {})) {
    if (Connection* connection = find(handle)) connection->unpause();
  }
}

// ---- limits.memory -------------------------------------------------------------------------------------------------

void Shard::set_memory_stage(MemoryStage stage) {
  memory_stage_ = stage;
  hold_publishers(kMemory, stage >= MemoryStage::kHoldPublishers);
}

MemoryGuard::Heaviest Shard::heaviest() noexcept {
  MemoryGuard::Heaviest result{index()};
  sessions_.for_each([&result](Session& session) {
    const Outbound* outbound = session.outbound();
    Connection* connection = session.connection();
    const std::uint64_t bytes = (outbound == nullptr ? 0 : outbound->queued_bytes()) +
                                (connection == nullptr ? 0 : connection->output().size());
    if (bytes > result.bytes) result = {result.reactor, session.slot(), session.number(), bytes};
  });
  return result;
}

void Shard::relieve_of(const MemoryGuard::Heaviest& heaviest) {
  Session* session = sessions_.at(heaviest.slot, heaviest.session);
  if (session == nullptr) return;
  log().write(LogLevel::kWarn, "memory", "dropping what waits for a client",
              {{"client", session->client_id()}, {"bytes", std::to_string(heaviest.bytes)}});
  delivery_.drop_queue(*session, DropCause::kMemory);
  if (session->connection() != nullptr) {
    session->connection()->close(ReasonCode::kQuotaExceeded,
                                 "limits.memory is reached, and most of it waits for this client");
  }
}

void Shard::publish_sizes() noexcept {
  // A connection with its stream, and a session with its entries in tables, as measured; what they own comes on top.
  constexpr std::uint64_t kConnection = 640;
  constexpr std::uint64_t kSession = 512;
  counters_.bytes_held.set(connections_.size() * kConnection + sessions_.size() * kSession + input_bytes_ +
                           loop_.chunks().in_use() * event::Chunk::kAllocation + subscribers_.footprint() +
                           credits_.outstanding() + fan_outs_.bytes());
}

// ---- the turn ------------------------------------------------------------------------------------------------------

void Shard::on_turn() noexcept {
  traces_ = log().enabled(LogLevel::kTrace, "packet");
  filter_budget_.renew();
  resume_connections();
  close_connections();
  sessions_.clear_ended();
  replays_.run();
  fan_outs_.run();
  delivery_.run();
  do {
    publishing_.end_turn();
    flush_connections();  // a connection that breaks may publish its will
  } while (!dirty_.empty());
  publishing_.end_turn();
  shared_mail_.post();
  destroy_dead();
  if (limits().memory != 0) publish_sizes();
  if (!draining_.empty()) let_go_of_drained();
  if (stopped_ && connections_.size() == 0 && !wills_.waiting()) finish_stop();
  log().flush();
}

void Shard::resume_connections() {
  for (const ConnectionHandle handle : std::exchange(resuming_, {})) {
    Connection* connection = find(handle);
    if (connection == nullptr) continue;
    connection->in_resume_list = false;
    connection->resume();
  }
}

void Shard::close_connections() {
  for (const Closing& closing : std::exchange(closing_, {})) {
    if (Connection* connection = find(closing.connection)) connection->close(closing.code, closing.reason);
  }
}

void Shard::flush_connections() {
  std::swap(dirty_, flushing_);
  for (const ConnectionHandle handle : flushing_) {
    Connection* connection = find(handle);
    if (connection == nullptr) continue;
    connection->in_dirty_list = false;
    connection->flush();
  }
  flushing_.clear();
}

void Shard::destroy_dead() {
  for (const ConnectionHandle handle : std::exchange(retired_, {})) {
    connections_.erase(handle);
    counters_.connections_open.subtract();
    load_.fetch_sub(1, std::memory_order_relaxed);
  }
  sessions_.destroy_ended();
}

// ---- the end -------------------------------------------------------------------------------------------------------

void Shard::publish_wills() {
  sessions_.publish_wills();
  publishing_.end_turn();
}

void Shard::stop(std::chrono::milliseconds deadline, std::function<void()> stopped) {
  stopping_ = true;
  stopped_ = std::move(stopped);
  fan_outs_.finish();  // for those who are still connected
  const ShutdownSettings& shutdown = settings().shutdown;
  connections_.for_each([&](ConnectionHandle, Connection& connection) {
    connection.shut_down(shutdown.send_disconnect, shutdown.publish_wills);
  });
  loop_.timers().start(stop_timer_, event::add_saturating(loop_.now(), deadline));
  loop_.request_turn();
}

void Shard::on_stop_deadline() noexcept {
  connections_.for_each([](ConnectionHandle, Connection& connection) { connection.drop("the broker stops"); });
  wills_.drop_waiting();
  loop_.request_turn();
}

void Shard::finish_stop() {
  stop_timer_.stop();
  progress_timer_.stop();
  sweep_timer_.stop();
  trouble_.stop();
  sweep_.reset();
  replays_.clear();
  publishing_.stop(settings().shutdown.drain);
  credits_.stop();
  sessions_.clear();
  shared_groups_.clear();
  prepared_ = nullptr;
  for (const auto& generation : draining_) generation->hooks.stop();
  hooks().stop();
  std::exchange(stopped_, nullptr)();
}

}  // namespace mqloop::broker
