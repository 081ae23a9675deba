// What an item of `listeners:` says of the sockets that it listens on, for every transport that travels on them.
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <mqloop/socket.h>

#include "core/event/address_set.h"
#include "core/event/users.h"

namespace mqloop {

namespace {

// "listener 'local', mqloop.yaml:9"
std::string origin_of(const ConfigNode& listener) {
  std::string position = listener.position();
  position.resize(std::min(position.rfind(':'), position.size()));  // a person needs no column here
  return "listener '" + listener["name"].as_string() + "', " + position;
}

// What TCP and Unix sockets have in common.
void describe_common(Schema& schema, std::string_view from) {
  schema.integer("backlog", "connections that wait in the system's queue; the system may allow less")
      .defaults_to("4096")
      .at_least("1")
      .at_most("65535");
  schema.string("systemd_socket", "the FileDescriptorName= of sockets that systemd opens, in place of an address");
  Schema& proxy =
      schema.enumeration("proxy_protocol", "every connection begins with a PROXY header, by who is trusted", {"none"})
          .or_section();
  proxy.list_of_string("from", from).required().not_empty();
  proxy.enumeration("version", "of the header", {"any", "v1", "v2"});
  proxy.duration("header_timeout", "from accept to a whole header").defaults_to("5s").at_least("100ms").at_most("1h");
}

Status read_common(const ConfigNode& listener, SocketListener::Options& options) {
  options.origin = origin_of(listener);
  options.backlog = static_cast<int>(listener["backlog"].as_int());
  options.systemd_socket = listener["systemd_socket"].as_string();
  for (const char* const place : {"bind", "path"}) {
    if (options.systemd_socket.empty() || listener[place].is_default() || !listener[place].exists()) continue;
    return listener[place].error("has both " + std::string(place) + " and systemd_socket: keep one");
  }
  const ConfigNode proxy = listener["proxy_protocol"];
  if (!proxy.is_map()) return ok();
  ProxyProtocol& said = options.proxy.emplace();
  said.from = proxy["from"].as_list();
  said.header_timeout = proxy["header_timeout"].as_duration();
  const std::string_view version = proxy["version"].text();
  if (version == "v1") said.version = ProxyProtocol::Version::kV1;
  if (version == "v2") said.version = ProxyProtocol::Version::kV2;
  for (const ConfigNode from : proxy["from"]) {
    if (options.unix_socket) {
      if (!event::user_id(from.as_string()))
        return from.error("there is no user '" + from.as_string() + "' on this machine");
      continue;
    }
    event::AddressSet probe;
    if (const Status status = probe.add(from.text()); !status.ok()) return from.error(status.message());
  }
  return ok();
}

// "0660", which as a number of YAML would be six hundred and sixty.
std::optional<mode_t> parse_mode(std::string_view text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (text.size() < 3 || text.size() > 4 || error != std::errc() || end != text.data() + text.size() || mode > 0777) {
    return std::nullopt;
  }
  return mode;
}

}  // namespace

void SocketListener::describe_tcp(Schema& schema, std::string_view default_bind) {
  schema.endpoint("bind", "address and port to listen on, [::]:PORT for IPv6 and IPv4").defaults_to(default_bind);
  schema.string("interface", "only what comes in by this network interface; \"\" = by any");
  schema.boolean("dual_stack", "whether [::] takes IPv4 too").defaults_to("true");
  schema.boolean("nodelay", "send small packets at once (TCP_NODELAY)").defaults_to("true");
  Schema& keep_alive =
      schema.enumeration("tcp_keep_alive", "questions of the system to a peer that is silent", {"none"}).or_section();
  keep_alive.duration("idle", "of silence before the first, in whole seconds")
      .defaults_to("2m")
      .at_least("1s")
      .at_most("9h");
  keep_alive.duration("interval", "between two, in whole seconds").defaults_to("15s").at_least("1s").at_most("9h");
  keep_alive.integer("probes", "without an answer until the connection is broken")
      .defaults_to("4")
      .at_least("1")
      .at_most("127");
  describe_common(schema, "addresses and networks of the proxies: [10.0.0.0/8, 2001:db8::7]");
}

Result<SocketListener::Options> SocketListener::tcp_options(const ConfigNode& listener) {
  Options options;
  options.bind = listener["bind"].as_endpoint();
  options.interface = listener["interface"].as_string();
  if (options.interface.size() >= IFNAMSIZ) return listener["interface"].error("a name of an interface is shorter");
  options.dual_stack = listener["dual_stack"].as_bool();
  options.nodelay = listener["nodelay"].as_bool();
  if (const ConfigNode keep_alive = listener["tcp_keep_alive"]; keep_alive.is_map()) {
    for (const char* const key : {"idle", "interval"}) {
      if (keep_alive[key].as_duration().count() % 1000 == 0) continue;
      return keep_alive[key].error(keep_alive[key].as_string() + " is not a whole number of seconds");
    }
    options.keep_alive = {std::chrono::floor<std::chrono::seconds>(keep_alive["idle"].as_duration()),
                          std::chrono::floor<std::chrono::seconds>(keep_alive["interval"].as_duration()),
                          static_cast<int>(keep_alive["probes"].as_int())};
  }
  if (Status status = read_common(listener, options); !status.ok()) return status;
  return options;
}

void SocketListener::describe_unix(Schema& schema) {
  schema.path("path", "where the socket is");
  schema.string("mode", "who may connect, as for chmod").defaults_to("0660");
  schema.string("owner", "the user whose it is, a name or a number; \"\" = who runs the broker");
  schema.string("group", "its group, a name or a number; \"\" = that of who runs the broker");
  describe_common(schema, "users that the proxies run as, names or numbers: [haproxy]");
}

Result<SocketListener::Options> SocketListener::unix_options(const ConfigNode& listener) {
  Options options;
  UnixSocketPath& at = options.unix_socket.emplace();
  at.path = listener["path"].as_string();
  const std::optional<mode_t> mode = parse_mode(listener["mode"].text());
  if (!mode) return listener["mode"].error("'" + listener["mode"].as_string() + "' is no mode such as \"0660\"");
  at.mode = *mode;
  if (const std::string owner = listener["owner"].as_string(); !owner.empty()) {
    at.owner = event::user_id(owner);
    if (!at.owner) return listener["owner"].error("there is no user '" + owner + "' on this machine");
  }
  if (const std::string group = listener["group"].as_string(); !group.empty()) {
    at.group = event::group_id(group);
    if (!at.group) return listener["group"].error("there is no group '" + group + "' on this machine");
  }
  if (Status status = read_common(listener, options); !status.ok()) return status;
  if (at.path.empty() && options.systemd_socket.empty()) {
    return listener.error("a Unix socket needs path: or systemd_socket:");
  }
  return options;
}

}  // namespace mqloop
