#include "core/cli/mqloopd/reloader.h"

#include <algorithm>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/broker/settings_schema.h"
#include "core/cli/mqloopd/open_log.h"
#include "core/config/difference.h"

namespace mqloop::cli {

namespace {

// One reads, another may meanwhile wait for plugins of an earlier configuration to stop.
constexpr std::size_t kThreads = 2;
constexpr std::size_t kMostWaiting = 1000;

config::Checked checked(const broker::BrokerConfiguration& configuration) {
  return {configuration.settings.document.root(), configuration.checked_blocks};
}

bool is_of(const config::Change& change, std::string_view block) { return change.path[0] == block; }

}  // namespace

// One reload, from the file to the broker.
struct Reloader::Attempt {
  // Those that run, by name: they stay until the broker changes over.
  std::map<std::string, const TransportListener*, std::less<>> running_listeners;
  config::Errors errors;
  Status failure;  // of another kind than a mistake in the file
  Ref<broker::BrokerConfiguration> next;
  std::vector<config::Change> changes;
  std::unique_ptr<StreamLog> log;  // where `logging` changed
  std::vector<std::string> changed_files;
};

Reloader::Reloader(const Place& place, Ref<broker::BrokerConfiguration> running, Told told)
    : place_(place), told_(std::move(told)), running_(std::move(running)), threads_(kThreads, kMostWaiting) {
  at_start_.set_root(at_start_.copy(*running_->settings.document.root_node()));
  // The publisher goes on for good, and with it the block that its schema checked.
  const ConfigNode block = running_->settings.publisher.config;
  const auto found = running_->checked_blocks.find(config::Access::node(block));
  if (found != running_->checked_blocks.end()) {
    blocks_at_start_.emplace(config::Access::node(at_start_.root()["publisher"]["config"]), found->second);
  }
}

Reloader::~Reloader() = default;

void Reloader::start(broker::Broker& broker) {
  broker_ = &broker;
  state_ = State::kIdle;
  if (std::exchange(again_, false)) begin();
}

void Reloader::request() {
  if (state_ == State::kIdle) {
    begin();
  } else {
    again_ = true;
  }
}

void Reloader::retire(Ref<const broker::BrokerConfiguration> configuration) {
  struct Retired {
    Ref<const broker::BrokerConfiguration> configuration;
  };
  const auto nothing = [](void*) noexcept {};
  const auto drop = [](void* retired) noexcept { delete static_cast<Retired*>(retired); };
  auto retired = std::make_unique<Retired>(Retired{std::move(configuration)});
  if (threads_.submit(place_.loop, drop, nothing, retired.get())) (void)retired.release();
}

void Reloader::begin() {
  if (stopping_) return;
  state_ = State::kReading;
  told_.begins();
  place_.log.write(LogLevel::kInfo, "config", "reading the configuration again", {{"file", place_.input.file}});
  attempt_ = std::make_unique<Attempt>();
  for (const broker::ListenerComponent& listener : running_->components.listeners) {
    const std::string& name = listener.settings->name;
    if (const TransportListener* open = broker_->listener_named(name)) attempt_->running_listeners.emplace(name, open);
  }
  const bool begun = threads_.submit(
      place_.loop, [](void* self) noexcept { static_cast<Reloader*>(self)->read(); },
      [](void* self) noexcept { static_cast<Reloader*>(self)->has_read(); }, this);
  if (begun) return;
  attempt_->failure = {StatusCode::kResourceExhausted, "there is no thread to read it on"};
  refused();
}

// ---- on the thread -------------------------------------------------------------------------------------------------

void Reloader::read() noexcept {
  try {
    read_all();
  } catch (const std::exception& exception) {
    attempt_->failure = {StatusCode::kInternal, exception.what()};
  }
}

void Reloader::read_all() {
  Attempt& attempt = *attempt_;
  broker::BrokerSettings settings = broker::load_settings(place_.input, attempt.errors);
  if (!settings.document.root().exists()) return;
  attempt.next = place_.host.load(std::move(settings), attempt.errors, running_.get());
  if (!attempt.errors.empty()) return;

  Schema schema;
  broker::describe_core(schema);
  const auto needs_restart = [](const config::Change& change) { return change.reload == config::Reload::kRestart; };
  attempt.changes = config::differences(schema, checked(*running_), checked(*attempt.next));
  std::erase_if(attempt.changes, needs_restart);
  for (config::Change& change :
       config::differences(schema, {at_start_.root(), blocks_at_start_}, checked(*attempt.next))) {
    if (needs_restart(change)) attempt.changes.push_back(std::move(change));
  }
  attempt.changed_files = place_.host.changed_files();
  keep_what_needs_a_restart();

  const auto is_of_logging = [](const config::Change& change) { return is_of(change, "logging"); };
  if (std::any_of(attempt.changes.begin(), attempt.changes.end(), is_of_logging)) {
    Result<std::unique_ptr<StreamLog>> log = open_log(attempt.next->settings.logging, place_.clock);
    if (log.ok()) {
      attempt.log = *std::move(log);
    } else {
      attempt.failure = log.status();
    }
  }
  if (attempt.failure.ok()) open_listeners();
}

void Reloader::keep_what_needs_a_restart() {
  broker::BrokerSettings& settings = attempt_->next->settings;
  settings.node = running_->settings.node;
  settings.publisher.plugin = running_->settings.publisher.plugin;
}

// Those that are new, and those that are to be opened again; the others go on.
void Reloader::open_listeners() {
  Attempt& attempt = *attempt_;
  for (broker::ListenerComponent& component : attempt.next->components.listeners) {
    const std::string& name = component.settings->name;
    const auto& before = running_->components.listeners;
    const auto same = std::find_if(before.begin(), before.end(),
                                   [&name](const auto& listener) { return listener.settings->name == name; });
    const bool has_changed =
        std::any_of(attempt.changes.begin(), attempt.changes.end(), [&name](const config::Change& change) {
          return is_of(change, "listeners") && change.reload == config::Reload::kListener && change.path.size() > 1 &&
                 change.path[1] == name;
        });
    const bool same_transport = same != before.end() && same->transport == component.transport;
    if (same_transport && !has_changed) {
      component.renewal = std::move(component.listener);
      continue;
    }
    const auto running = attempt.running_listeners.find(name);
    const bool in_place = same_transport && running != attempt.running_listeners.end();
    Status status = in_place ? component.listener->open_in_place_of(*running->second) : component.listener->open();
    if (!status.ok()) {
      attempt.failure = std::move(status);
      return;
    }
  }
}

// ---- on loop 0 -----------------------------------------------------------------------------------------------------

void Reloader::has_read() {
  if (stopping_) return give_up();
  const std::string& warnings = attempt_->errors.warnings();
  for (std::size_t begin = 0, end = 0; (end = warnings.find('\n', begin)) != std::string::npos; begin = end + 1) {
    place_.log.write(LogLevel::kWarn, "config", std::string_view(warnings).substr(begin, end - begin));
  }
  if (!attempt_->errors.empty() || !attempt_->failure.ok()) return refused();
  state_ = State::kSwitching;
  broker_->reconfigure(attempt_->next, [this](const Status& status) { has_switched(status); });
}

void Reloader::has_switched(const Status& status) {
  if (!status.ok()) {
    attempt_->failure = status;
    return refused();
  }
  running_ = attempt_->next;
  if (attempt_->log) place_.log.take_over(*attempt_->log);
  ++taken_;
  tell_changes();
  attempt_.reset();
  end();
}

void Reloader::tell_changes() {
  for (const config::Change& change : attempt_->changes) {
    const bool waits = change.reload == config::Reload::kRestart;
    place_.log.write(waits ? LogLevel::kWarn : LogLevel::kInfo, "config", change.text());
  }
  for (const std::string& file : attempt_->changed_files) {
    place_.log.write(LogLevel::kWarn, "config",
                     "a plugin's file is not what it was: the code that was loaded stays until the next start",
                     {{"file", file}});
  }
  if (attempt_->changes.empty()) place_.log.write(LogLevel::kInfo, "config", "nothing changed");
  const std::string changes = std::to_string(attempt_->changes.size());
  const std::string taken = std::to_string(taken_);
  place_.log.write(LogLevel::kInfo, "config", "reloaded", {{"changes", changes}, {"reloads", taken}});
}

void Reloader::refused() {
  for (const config::Error& error : attempt_->errors.all()) {
    std::string text = error.source;
    if (error.line != 0) text += ":" + std::to_string(error.line) + ":" + std::to_string(error.column);
    text += (text.empty() ? "" : ": ") + error.message;
    place_.log.write(LogLevel::kError, "config", text);
  }
  if (!attempt_->failure.ok()) place_.log.write(LogLevel::kError, "config", attempt_->failure.message());
  const std::string mistakes = std::to_string(attempt_->errors.size() + (attempt_->failure.ok() ? 0 : 1));
  const std::string times = std::to_string(++refused_);
  place_.log.write(LogLevel::kError, "config", "not reloaded: the configuration that runs stays",
                   {{"mistakes", mistakes}, {"refused", times}});
  give_up();
}

// What was made is let go of where its plugins may take their time.
void Reloader::give_up() {
  if (attempt_->next) retire(std::move(attempt_->next));
  attempt_.reset();
  end();
}

void Reloader::end() {
  state_ = State::kIdle;
  told_.ended();
  if (std::exchange(again_, false)) begin();
}

}  // namespace mqloop::cli
