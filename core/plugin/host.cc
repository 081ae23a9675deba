#include "core/plugin/host.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/broker/settings_schema.h"
#include "core/config/check.h"
#include "core/config/difference.h"
#include "core/plugin/loader.h"

namespace mqloop::plugin {

namespace {

using broker::Chain;
using broker::ListenerComponent;
using broker::ListenerSettings;
using broker::PluginInstance;
using broker::PluginInstanceSettings;
using config::ErrorKind;
using config::Errors;

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

// Runs code of a plugin that may throw; `what` says which, as in "configure()".
template <typename Code>
auto guarded(const std::string& who, const char* what, Code code) -> decltype(code()) {
  std::string failure = who + " failed in " + what + ": ";
  try {
    return code();
  } catch (const std::exception& exception) {
    failure += exception.what();
  } catch (...) {
    failure += "unknown exception";
  }
  return Status(StatusCode::kInternal, failure);
}

// A file that is not there and a value that is wrong are the user's to mend, the rest is the plugin's.
ErrorKind kind_of(const Status& status) {
  switch (status.code()) {
    case StatusCode::kNotFound:
    case StatusCode::kPermissionDenied:
    case StatusCode::kResourceExhausted:
      return ErrorKind::kFile;
    case StatusCode::kInternal:
      return ErrorKind::kPlugin;
    default:
      return ErrorKind::kConfig;
  }
}

// The mistakes of a status whose text is lines `file:line:column: what`; empty when it is anything else.
std::vector<config::Error> placed_mistakes(std::string_view text, ErrorKind kind) {
  std::vector<config::Error> mistakes;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return {};
    std::string_view place = line.substr(0, colon);
    config::Error& mistake = mistakes.emplace_back();
    mistake.kind = kind;
    mistake.message = line.substr(colon + 2);
    for (std::uint32_t* const number : {&mistake.column, &mistake.line}) {
      const std::size_t at = place.rfind(':');
      if (at == std::string_view::npos) return {};
      const std::string_view digits = place.substr(at + 1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
      if (error != std::errc() || end != digits.data() + digits.size()) return {};
      place = place.substr(0, at);
    }
    mistake.source = place;
  }
  return mistakes;
}

// No signal of the process is delivered to a thread that a plugin starts meanwhile: a thread inherits the mask of the
// one that makes it, and the program that embeds us decides which of its threads takes signals.
class SignalsHeldBack {
 public:
  SignalsHeldBack() noexcept {
    sigset_t held;
    sigfillset(&held);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&held, fault);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;
  ~SignalsHeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// One object of a plugin, made, stopped and destroyed by the plugin's own code: the keeper of a PluginInstance.
class Loaded final : public SharedObject {
 public:
  Loaded(const mqloop_plugin_block& block, Plugin* plugin) noexcept : block_(block), plugin_(plugin) {}

  [[nodiscard]] Plugin& plugin() const noexcept { return *plugin_; }
  // Lives as long as the plugin, which may keep nodes of it.
  config::Document options;
  bool configured = false;

 private:
  ~Loaded() override {
    if (configured) plugin_->stop();
    block_.destroy(plugin_);
  }

  const mqloop_plugin_block& block_;
  Plugin* plugin_;
};

// What a listener was made of and by: the keeper of a ListenerComponent.
class ListenerParts final : public SharedObject {
 public:
  config::Document options;
  Ref<const SharedObject> transport;
};

// What an entry of the configuration asks for, wherever it stands.
struct Wanted {
  std::string name;
  std::string plugin;
  std::string path;
  ConfigNode options;
  ConfigNode entry;
  std::string key;     // of the options, for messages: "plugins.badges.config"
  std::string folder;  // where relative paths in the options start; "" = at the folder of the file that has them

  [[nodiscard]] std::string who() const { return "plugin " + in_quotes(name); }
};

// The work of load(): settings in, components and errors out.
class Assembly {
 public:
  Assembly(broker::BrokerConfiguration& made, const broker::BrokerConfiguration* running, Loader& loader,
           Errors& errors)
      : settings_(made.settings),
        running_(running),
        loader_(loader),
        errors_(errors),
        components_(made.components),
        checked_blocks_(made.checked_blocks) {
    broker::describe_core(core_schema_);
    // Chains and listeners point into these.
    components_.instances.reserve(settings_.plugins.size() + settings_.listeners.size() + 1);
    components_.chains.reserve(settings_.auth.chains.size());
  }

  void load_instances() {
    for (const PluginInstanceSettings& plugin : settings_.plugins) {
      Wanted wanted{plugin.name, plugin.plugin, plugin.path, plugin.config, plugin.position, {}, {}};
      wanted.key = "plugins." + plugin.name + ".config";
      PluginInstance* instance = carry_transport(plugin);
      if (instance == nullptr) instance = load(wanted);
      if (instance == nullptr) continue;
      instance->timeout = plugin.timeout;
      instance->on_timeout = plugin.on_timeout;
    }
  }

  // For a reload the new options are checked, and then the publisher that runs goes on. What it keeps belongs into the
  // data folder.
  void load_publisher() {
    const broker::PublisherSettings& publisher = settings_.publisher;
    const std::string folder = data_folder(settings_.node.data_dir);
    const Wanted wanted{publisher.plugin,   publisher.plugin,   {},    publisher.config,
                        publisher.position, "publisher.config", folder};
    const PluginInstance* instance = load(wanted);
    if (instance == nullptr) return;
    components_.publisher = instance->plugin->publisher();
    if (components_.publisher == nullptr) {
      errors_.add(publisher.position, "publisher.plugin: " + in_quotes(publisher.plugin) + " is no publisher",
                  ErrorKind::kPlugin);
    }
    if (running_ == nullptr) return;
    checked_publisher_ = instance->keeper;
    components_.instances.pop_back();
    components_.publisher = running_->components.publisher;
    for (const PluginInstance& one : running_->components.instances) {
      if (one.plugin->publisher() == components_.publisher) carry(one);
    }
  }
  // What the block of the publisher is part of that was made to check it.
  [[nodiscard]] Ref<const SharedObject> checked_publisher() noexcept { return std::move(checked_publisher_); }

  void link_chains() {
    const ConfigNode nodes = settings_.document.root()["auth"]["chains"];
    for (const auto& [name, from] : settings_.auth.chains) {
      Chain& chain = components_.chains.emplace_back();
      chain.name = name;
      for (std::size_t i = 0; i < from.authenticate.size(); ++i) {
        link(from.authenticate[i], nodes[name]["authenticate"].at(i), "an authenticator", chain.authenticate,
             [](const PluginInstance& instance) { return instance.authenticator != nullptr; });
      }
      for (std::size_t i = 0; i < from.authorize.size(); ++i) {
        link(from.authorize[i], nodes[name]["authorize"].at(i), "an authorizer", chain.authorize,
             [](const PluginInstance& instance) { return instance.authorizer != nullptr; });
      }
    }
  }

  void make_listeners() {
    for (const ListenerSettings& listener : settings_.listeners) {
      if (const PluginInstance* transport = transport_of(listener)) make_listener(listener, *transport);
    }
  }

 private:
  // The new instance; or nothing, and why is among the errors.
  PluginInstance* load(const Wanted& wanted) {
    Ref<Loaded> loaded = make(wanted);
    if (!loaded || !configure(wanted, *loaded)) {
      failed_.push_back(wanted.name);
      return nullptr;
    }
    PluginInstance& instance = components_.instances.emplace_back();
    instance.name = wanted.name;
    instance.plugin = &loaded->plugin();
    instance.authenticator = instance.plugin->authenticator();
    instance.authorizer = instance.plugin->authorizer();
    instance.index = static_cast<std::uint32_t>(components_.instances.size() - 1);
    instance.keeper = std::move(loaded);
    return &instance;
  }

  // The same object in the new configuration.
  PluginInstance* carry(const PluginInstance& running) {
    PluginInstance& instance = components_.instances.emplace_back(running);
    instance.index = static_cast<std::uint32_t>(components_.instances.size() - 1);
    return &instance;
  }

  // Connections hang on a transport, so one that is configured as before goes on; any other plugin is made anew and
  // reads its files again.
  PluginInstance* carry_transport(const PluginInstanceSettings& wanted) {
    if (running_ == nullptr) return nullptr;
    const auto& before = running_->settings.plugins;
    const auto same = std::find_if(before.begin(), before.end(), [&](const PluginInstanceSettings& one) {
      return one.name == wanted.name && one.plugin == wanted.plugin && one.path == wanted.path &&
             config::means_the_same(one.config, wanted.config);
    });
    const PluginInstance* running = same == before.end() ? nullptr : find_running(wanted.name);
    if (running == nullptr || running->plugin->transport() == nullptr) return nullptr;
    note_checked(wanted.config, static_cast<const Loaded*>(running->keeper.get())->options);
    return carry(*running);
  }
  // One that only a listener asked for.
  PluginInstance* carry_implicit(std::string_view name) {
    if (running_ == nullptr) return nullptr;
    const auto& entries = running_->settings.plugins;
    const bool has_entry =
        std::any_of(entries.begin(), entries.end(), [&](const auto& one) { return one.name == name; });
    const PluginInstance* running = has_entry ? nullptr : find_running(name);
    return running == nullptr || running->plugin->transport() == nullptr ? nullptr : carry(*running);
  }
  const PluginInstance* find_running(std::string_view name) const noexcept {
    const auto& instances = running_->components.instances;
    const auto found = std::find_if(instances.begin(), instances.end(),
                                    [&](const PluginInstance& instance) { return instance.name == name; });
    return found == instances.end() ? nullptr : &*found;
  }

  Ref<Loaded> make(const Wanted& wanted) {
    const auto found = wanted.path.empty() ? loader_.load_named(wanted.plugin) : loader_.load_file(wanted.path);
    if (!found.ok()) {
      errors_.add(wanted.entry, found.status().message(), ErrorKind::kPlugin);
      return nullptr;
    }
    const mqloop_plugin_block& block = *found.value();
    void* plugin = nullptr;
    const Status status = guarded(wanted.who(), "its constructor", [&] {
      plugin = block.create();
      return plugin == nullptr ? Status(StatusCode::kInternal, wanted.who() + " made no object") : ok();
    });
    if (!status.ok()) {
      errors_.add(wanted.entry, status.message(), ErrorKind::kPlugin);
      return nullptr;
    }
    return Ref<Loaded>::adopt(new Loaded(block, static_cast<Plugin*>(plugin)));
  }

  bool configure(const Wanted& wanted, Loaded& loaded) {
    Schema schema;
    Plugin& plugin = loaded.plugin();
    Status status = guarded(wanted.who(), "describe()", [&] {
      plugin.describe(schema);
      return ok();
    });
    const std::size_t before = errors_.size();
    if (status.ok())
      loaded.options = config::check(schema, wanted.options, errors_, {.path = wanted.key, .folder = wanted.folder});
    if (errors_.size() != before) return false;
    if (status.ok()) {
      note_checked(wanted.options, loaded.options);
      status = guarded(wanted.who(), "configure()", [&] { return plugin.configure(loaded.options.root()); });
    }
    if (!status.ok()) complain(status, wanted.who(), wanted.entry);
    loaded.configured = status.ok();
    return status.ok();
  }

  void link(const std::string& name, const ConfigNode& node, const char* interface,
            std::vector<const PluginInstance*>& steps, bool (*has_interface)(const PluginInstance&)) {
    const PluginInstance* instance = find(name);
    if (instance != nullptr && has_interface(*instance)) {
      steps.push_back(instance);
    } else if (instance != nullptr) {
      errors_.add(node, "the plugin " + in_quotes(name) + " is not " + interface);
    } else if (!has_failed(name)) {
      errors_.add(node, "there is no plugin named " + in_quotes(name));
    }
  }

  // `transport: serial` is the instance of that name, where there is one, or else the plugin transport_serial.
  const PluginInstance* transport_of(const ListenerSettings& listener) {
    const std::string plugin = "transport_" + listener.transport;
    PluginInstance* instance = find(listener.transport);
    if (instance == nullptr || instance->plugin->transport() == nullptr) instance = find(plugin);
    if (instance == nullptr) {
      if (has_failed(listener.transport) || has_failed(plugin)) return nullptr;
      instance = carry_implicit(plugin);
      if (instance == nullptr) instance = load({plugin, plugin, {}, {}, listener.config, {}, {}});
    }
    if (instance == nullptr) return nullptr;
    if (instance->plugin->transport() != nullptr) return instance;
    errors_.add(listener.config, "listeners." + listener.name + ".transport: the plugin " + in_quotes(instance->name) +
                                     " is no transport");
    return nullptr;
  }

  void make_listener(const ListenerSettings& listener, const PluginInstance& by) {
    const Transport& transport = *by.plugin->transport();
    const std::string key = "listeners." + listener.name;
    Schema schema;
    Status status = guarded(key, "describe_listener()", [&] {
      transport.describe_listener(schema);
      return ok();
    });
    if (!status.ok()) return complain(status, key, listener.config);

    const std::size_t before = errors_.size();
    config::CheckOptions options;
    options.path = key;
    options.checked_before = &broker::listener_schema(core_schema_);
    const auto parts = Ref<ListenerParts>::adopt(new ListenerParts);
    parts->transport = by.keeper;
    parts->options = config::check(schema, listener.config, errors_, options);
    if (errors_.size() != before) return;
    note_checked(listener.config, parts->options);

    ListenerComponent component;
    component.settings = &listener;
    component.transport = by.plugin;
    component.keeper = parts;
    status = guarded(key, "make_listener()", [&] {
      auto made = transport.make_listener(parts->options.root());
      if (!made.ok()) return made.status();
      component.listener = std::move(*made);
      return ok();
    });
    if (!status.ok()) return complain(status, key, listener.config);
    if (listener.chain) component.chain = find_chain(*listener.chain);
    components_.listeners.push_back(std::move(component));
  }

  void note_checked(const ConfigNode& block, const config::Document& checked) {
    if (block.exists()) checked_blocks_.emplace(config::Access::node(block), checked.root());
  }

  PluginInstance* find(std::string_view name) noexcept {
    const auto found = std::find_if(components_.instances.begin(), components_.instances.end(),
                                    [&](const PluginInstance& instance) { return instance.name == name; });
    return found == components_.instances.end() ? nullptr : &*found;
  }
  const Chain* find_chain(std::string_view name) {
    const auto found = std::find_if(components_.chains.begin(), components_.chains.end(),
                                    [&](const Chain& chain) { return chain.name == name; });
    if (found != components_.chains.end()) return &*found;
    errors_.add(ConfigNode(), "there is no chain named " + in_quotes(name));
    return nullptr;
  }
  [[nodiscard]] bool has_failed(std::string_view name) const noexcept {
    return std::find(failed_.begin(), failed_.end(), name) != failed_.end();
  }

  // What a plugin said of its configuration: with the positions that it gave, or else with that of its entry.
  void complain(const Status& status, const std::string& who, const ConfigNode& entry) {
    if (auto mistakes = placed_mistakes(status.message(), kind_of(status)); !mistakes.empty()) {
      for (config::Error& mistake : mistakes) errors_.add(std::move(mistake));
    } else if (status.message().starts_with(who)) {
      errors_.add(entry, status.message(), kind_of(status));
    } else {
      errors_.add(entry, who + ": " + std::string(status.message()), kind_of(status));
    }
  }

  const broker::BrokerSettings& settings_;
  const broker::BrokerConfiguration* running_;  // null: there is none yet
  Loader& loader_;
  Errors& errors_;
  broker::Components& components_;
  config::CheckedBlocks& checked_blocks_;
  Ref<const SharedObject> checked_publisher_;
  Schema core_schema_;
  std::vector<std::string> failed_;  // asked for and not there: complained about already
};

}  // namespace

PluginHost::PluginHost() = default;
PluginHost::~PluginHost() = default;

Ref<broker::BrokerConfiguration> PluginHost::load(broker::BrokerSettings settings, Errors& errors,
                                                  const broker::BrokerConfiguration* running) {
  const SignalsHeldBack held_back;
  // The folder of the first configuration holds: node.plugin_dir needs a restart.
  if (!loader_) loader_ = std::make_unique<Loader>(plugin_folders(settings.node.plugin_dir));
  Ref<broker::BrokerConfiguration> made = broker::BrokerConfiguration::create();
  made->settings = std::move(settings);
  Assembly assembly(*made, running, *loader_, errors);
  assembly.load_instances();
  assembly.link_chains();
  assembly.make_listeners();
  assembly.load_publisher();
  made->checked_only = assembly.checked_publisher();
  return made;
}

std::vector<std::string> PluginHost::changed_files() const {
  return loader_ ? loader_->changed_files() : std::vector<std::string>();
}

}  // namespace mqloop::plugin
