#include "plugins/transport_websocket/upgrade.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "plugins/transport_websocket/forwarded_address.h"

namespace mqloop::websocket {

namespace {

constexpr std::array<std::string_view, 2> kSubprotocols{"mqtt", "mqttv3.1"};
constexpr std::string_view kEndOfHeaders = "\r\n\r\n";
constexpr std::string_view kMethod = "GET ";
constexpr std::size_t kKeySize = 24;  // 16 bytes in base64

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string in_lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [=](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || kOthers.find(c) != std::string_view::npos;
  });
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

// Calls `take` with each item of a comma-separated list; goes on while it answers true.
template <typename Take>
void each_item(std::string_view list, Take take) {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (!take(trimmed(list.substr(0, comma))) || comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

bool list_has(std::string_view list, std::string_view word) {
  bool found = false;
  each_item(list, [&](std::string_view item) { return !(found = found || same_word(item, word)); });
  return found;
}

bool is_key(std::string_view text) {
  if (text.size() != kKeySize || !text.ends_with("==")) return false;
  return std::all_of(text.begin(), text.end() - 2, [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  });
}

// "example.org" of "example.org:8083", "[::1]" of "[::1]:80".
std::string_view host_of(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return has_port ? authority.substr(0, colon) : authority;
}

// The header fields that matter; lists that came in several fields are joined by a comma.
struct Fields {
  std::optional<std::string> host, key, version, origin, upgrade, connection, subprotocols, forwarded_for;
  bool has_body = false;
  bool handed_on = false;
  bool is_repeated = false;  // one that may come once only

  void add(std::string_view name, std::string_view value) {
    if (same_word(name, "Host")) return once(host, value);
    if (same_word(name, "Sec-WebSocket-Key")) return once(key, value);
    if (same_word(name, "Sec-WebSocket-Version")) return once(version, value);
    if (same_word(name, "Origin")) return once(origin, value);
    if (same_word(name, "Upgrade")) return join(upgrade, value);
    if (same_word(name, "Connection")) return join(connection, value);
    if (same_word(name, "Sec-WebSocket-Protocol")) return join(subprotocols, value);
    if (same_word(name, "X-Forwarded-For")) join(forwarded_for, value);
    has_body = has_body || same_word(name, "Transfer-Encoding") || (same_word(name, "Content-Length") && value != "0");
    handed_on = handed_on || same_word(name, "X-Forwarded-For") || same_word(name, "Forwarded") ||
                same_word(name, "X-Real-IP") || same_word(name, "Via");
  }

 private:
  void once(std::optional<std::string>& field, std::string_view value) {
    is_repeated = is_repeated || field.has_value();
    field = value;
  }
  static void join(std::optional<std::string>& field, std::string_view value) {
    if (field) {
      field->append(",").append(value);
    } else {
      field = value;
    }
  }
};

// A request while it is read: the first thing that is wrong with it is its refusal.
class Request {
 public:
  Request(const UpgradePolicy& policy, std::string_view peer) : policy_(policy), peer_(peer) {}

  // `text` ends before the empty line.
  bool judge(std::string_view text, Upgrade& upgrade) {
    const std::size_t end = text.find("\r\n");
    return read_line(text.substr(0, end)) && (end == std::string_view::npos || read_fields(text.substr(end + 2))) &&
           judge_fields() && judge_origin() && choose_subprotocol(upgrade) && find_client(upgrade);
  }
  [[nodiscard]] const Refusal& refusal() const { return refusal_; }

 private:
  bool refuse(int status, std::string_view reason) {
    refusal_ = {status, reason};
    return false;
  }

  bool read_line(std::string_view line) {
    line.remove_prefix(kMethod.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return refuse(400, "the request line is malformed");
    std::string_view target = line.substr(0, space);
    if (!is_value(target) || !target.starts_with('/')) return refuse(400, "the request target is malformed");
    if (line.substr(space + 1) != "HTTP/1.1") return refuse(505, "HTTP/1.1 is spoken here");
    target = target.substr(0, target.find_first_of("?#"));
    if (target != policy_.path) return refuse(404, "there is nothing at this path");
    return true;
  }

  bool read_fields(std::string_view text) {
    for (std::size_t count = 1; !text.empty(); ++count) {
      if (count > kMostHeaders) return refuse(431, "there are too many header fields");
      const std::size_t end = text.find("\r\n");
      const std::string_view line = text.substr(0, end);
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || !is_value(line)) {
        return refuse(400, "a header field is malformed");
      }
      fields_.add(line.substr(0, colon), trimmed(line.substr(colon + 1)));
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
    }
    return true;
  }

  bool judge_fields() {
    if (fields_.is_repeated) return refuse(400, "a header field that may come once comes twice");
    if (fields_.has_body) return refuse(400, "an upgrade request has no body");
    if (!fields_.host || fields_.host->empty()) return refuse(400, "the header field Host is missing");
    if (!fields_.upgrade || !list_has(*fields_.upgrade, "websocket") || !fields_.connection ||
        !list_has(*fields_.connection, "upgrade")) {
      return refuse(426, "WebSocket alone is spoken here");
    }
    if (fields_.version != "13") return refuse(426, "version 13 of WebSocket alone is spoken here");
    if (!fields_.key || !is_key(*fields_.key)) return refuse(400, "Sec-WebSocket-Key is missing or no key");
    return true;
  }

  // Browsers tell it, and nobody else has to.
  bool judge_origin() {
    if (!fields_.origin || policy_.any_origin) return true;
    const std::string origin = in_lower_case(*fields_.origin);
    if (std::find(policy_.origins.begin(), policy_.origins.end(), origin) != policy_.origins.end()) return true;
    const std::size_t scheme = origin.find("://");
    if (policy_.same_host && scheme != std::string::npos &&
        host_of(std::string_view(origin).substr(scheme + 3)) == host_of(in_lower_case(*fields_.host))) {
      return true;
    }
    return refuse(403, "pages of this Origin may not connect");
  }

  // The first of the client's that is known here.
  bool choose_subprotocol(Upgrade& upgrade) {
    if (!fields_.subprotocols) return refuse(400, "the subprotocol mqtt must be asked for");
    bool well_formed = true;
    each_item(*fields_.subprotocols, [&](std::string_view item) {
      well_formed = well_formed && is_token(item);
      if (upgrade.subprotocol.empty() &&
          std::find(kSubprotocols.begin(), kSubprotocols.end(), item) != kSubprotocols.end()) {
        upgrade.subprotocol = item;
      }
      return well_formed;
    });
    if (!well_formed) return refuse(400, "Sec-WebSocket-Protocol is malformed");
    if (upgrade.subprotocol.empty()) return refuse(400, "mqtt and mqttv3.1 are the only subprotocols");
    upgrade.key = *fields_.key;
    return true;
  }

  // Each proxy has added the address of whoever came to it at the end of the list: the last that is no trusted proxy
  // itself is the client. What stands before it anybody may have written.
  bool find_client(Upgrade& upgrade) {
    upgrade.came_by_proxy = fields_.handed_on;
    const auto peer = event::ip_of_peer(peer_);
    if (!peer || !policy_.trusted_proxies.contains(*peer) || !fields_.forwarded_for) return true;
    std::string_view list = *fields_.forwarded_for;
    for (;;) {
      const std::size_t comma = list.rfind(',');
      const auto address = read_address(trimmed(comma == std::string_view::npos ? list : list.substr(comma + 1)));
      if (!address) return refuse(400, "X-Forwarded-For cannot be read");
      upgrade.client = peer_text(*address);
      if (!policy_.trusted_proxies.contains(*address) || comma == std::string_view::npos) return true;
      list = list.substr(0, comma);
    }
  }

  const UpgradePolicy& policy_;
  std::string_view peer_;
  Fields fields_;
  Refusal refusal_;
};

std::string_view phrase_of(int status) {
  switch (status) {
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 426:
      return "Upgrade Required";
    case 431:
      return "Request Header Fields Too Large";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Bad Request";
  }
}

}  // namespace

UpgradeResult read_upgrade(std::string_view bytes, const UpgradePolicy& policy, std::string_view peer) {
  UpgradeResult result;
  // What is no such request at all is not waited for.
  const std::size_t seen = std::min(bytes.size(), kMethod.size());
  if (bytes.substr(0, seen) != kMethod.substr(0, seen)) {
    result.kind = UpgradeResult::Kind::kRefused;
    result.refusal = {405, "GET is the only method"};
    return result;
  }
  const std::size_t end = bytes.substr(0, kLongestRequest).find(kEndOfHeaders);
  if (end == std::string_view::npos) {
    if (bytes.size() < kLongestRequest) return result;
    result.kind = UpgradeResult::Kind::kRefused;
    result.refusal = {431, "the request is too long"};
    return result;
  }
  Request request(policy, peer);
  const bool accepted = request.judge(bytes.substr(0, end), result.upgrade);
  result.kind = accepted ? UpgradeResult::Kind::kAccepted : UpgradeResult::Kind::kRefused;
  result.size = end + kEndOfHeaders.size();
  result.refusal = request.refusal();
  return result;
}

std::string refusal_answer(const Refusal& refusal) {
  std::string answer = "HTTP/1.1 " + std::to_string(refusal.status) + ' ' + std::string(phrase_of(refusal.status));
  answer += "\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ";
  answer += std::to_string(refusal.reason.size() + 1);
  if (refusal.status == 405) answer += "\r\nAllow: GET";
  if (refusal.status == 426) answer += "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
  answer.append(kEndOfHeaders).append(refusal.reason).append("\n");
  return answer;
}

std::string plain_request(std::string_view key, std::string_view subprotocol) {
  std::string request = "GET / HTTP/1.1\r\nHost: mqloop\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  request.append("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ").append(key);
  request.append("\r\nSec-WebSocket-Protocol: ").append(subprotocol).append(kEndOfHeaders);
  return request;
}

}  // namespace mqloop::websocket
