#include "core/config/units.h"

#include <array>
#include <charconv>
#include <limits>

#include <arpa/inet.h>

namespace mqloop::config {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool all_digits(std::string_view text) {
  for (const char c : text) {
    if (!is_digit(c)) return false;
  }
  return !text.empty();
}

// The digits at the front, which are removed; nullopt when there are none or too many.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::string_view take_letters(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && !is_digit(text[length])) ++length;
  const std::string_view letters = text.substr(0, length);
  text.remove_prefix(length);
  return letters;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// From large to small, the order in which they may follow each other.
constexpr std::array<Unit, 5> kDurations = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 5> kSizes = {
    {{"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}}};
constexpr std::array<Unit, 3> kPeriods = {{{"s", 1}, {"m", 60}, {"h", 3'600}}};
// What is kept in an int64.
constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

std::string not_a(std::string_view text, std::string_view what) {
  return in_quotes(text) + " is not " + std::string(what);
}

// What somebody meant who wrote MB, kb or G: a unit whose name begins alike. nullptr when it is none.
const Unit* meant_size(std::string_view unit) {
  if (unit.empty()) return nullptr;
  for (const Unit& candidate : kSizes) {
    const std::string_view name = candidate.name;
    const bool short_form = unit.size() == 1 && lower(unit[0]) == lower(name[0]);
    const bool decimal_form = unit.size() == 2 && lower(unit[0]) == lower(name[0]) && lower(unit[1]) == 'b';
    if (equal_ignoring_case(unit, name) || short_form || (name.size() == 3 && decimal_form)) return &candidate;
  }
  return nullptr;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  if (text.size() > kLongest) {
    // Not in the middle of a character.
    while (out.size() > 1 && (static_cast<unsigned char>(out.back()) & 0x80U) != 0) out.pop_back();
    out += "...";
  }
  out += '\'';
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::optional<bool> parse_boolean(std::string_view text, std::string& complaint) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  complaint = not_a(text, "a boolean: write true or false");
  return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text, std::string& complaint) {
  std::string_view digits = text;
  bool negative = false;
  int base = 10;
  if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.starts_with("0o")) {
    base = 8;
    digits.remove_prefix(2);
  } else if (digits.starts_with('-') || digits.starts_with('+')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  std::uint64_t number = 0;
  const char* end_of_text = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), end_of_text, number, base);
  if (error == std::errc::invalid_argument || end != end_of_text) {
    complaint = not_a(text, "a whole number");
    return std::nullopt;
  }
  if (error != std::errc() || number > kLargest) {
    complaint = in_quotes(text) + " is too large a number";
    return std::nullopt;
  }
  const auto value = static_cast<std::int64_t>(number);
  return negative ? -value : value;
}

std::optional<double> parse_number(std::string_view text, std::string& complaint) {
  double number = 0;
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const char* end_of_text = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), end_of_text, number);
  // from_chars also takes `inf` and `nan`, which nobody means here.
  const bool starts_well = !digits.empty() && (is_digit(digits[0]) || digits[0] == '-' || digits[0] == '.');
  if (error != std::errc() || end != end_of_text || !starts_well || !(number - number == 0)) {
    complaint = not_a(text, "a number, e.g. 1.5");
    return std::nullopt;
  }
  return number;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text, std::string& complaint) {
  if (text == "infinite") return kInfinite;
  if (all_digits(text)) {
    complaint = in_quotes(text) + " has no unit: write " + std::string(text) + "s for seconds";
    return std::nullopt;
  }
  complaint = not_a(text, "a duration, e.g. 250ms 30s 5m 12h 7d or infinite");
  std::uint64_t total = 0;
  std::uint64_t last_factor = std::numeric_limits<std::uint64_t>::max();
  std::string_view rest = text;
  if (rest.empty()) return std::nullopt;
  while (!rest.empty()) {
    const auto number = take_number(rest);
    const Unit* unit = find_unit(kDurations, take_letters(rest));
    if (!number || unit == nullptr || unit->factor >= last_factor) return std::nullopt;
    std::uint64_t part = 0;
    if (__builtin_mul_overflow(*number, unit->factor, &part) || __builtin_add_overflow(total, part, &total) ||
        total >= kLargest) {
      complaint = in_quotes(text) + " is too long: write infinite";
      return std::nullopt;
    }
    last_factor = unit->factor;
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(total));
}

std::optional<std::uint64_t> parse_size(std::string_view text, std::string& complaint) {
  complaint = not_a(text, "a size, e.g. 512B 64KiB 1MiB 2GiB");
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number) return std::nullopt;
  const Unit* unit = find_unit(kSizes, rest);
  const Unit* meant = unit != nullptr ? unit : rest.empty() ? &kSizes[0] : meant_size(rest);
  if (meant == nullptr) return std::nullopt;
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(*number, meant->factor, &bytes) || bytes > kLargest) {
    complaint = in_quotes(text) + " is too large a size";
    return std::nullopt;
  }
  if (unit != nullptr) return bytes;
  const std::string better = std::to_string(*number) + std::string(meant->name);
  complaint = rest.empty() ? in_quotes(text) + " has no unit: write " + better + ", or KiB, MiB, GiB"
                           : in_quotes(text) + ": write " + better + " (" + format_grouped(bytes) + " bytes)";
  return std::nullopt;
}

std::optional<double> parse_rate(std::string_view text, std::string& complaint) {
  std::string_view rest = text;
  const auto number = take_number(rest);
  const Unit* period = rest.starts_with('/') ? find_unit(kPeriods, rest.substr(1)) : nullptr;
  if (number && period != nullptr) return static_cast<double>(*number) / static_cast<double>(period->factor);
  complaint = number && rest.empty() ? in_quotes(text) + " has no unit: write " + std::string(text) + "/s"
                                     : not_a(text, "a rate, e.g. 100/s 6000/m");
  return std::nullopt;
}

std::optional<double> parse_byte_rate(std::string_view text, std::string& complaint) {
  const std::size_t slash = text.find('/');
  const Unit* period = slash == std::string_view::npos ? nullptr : find_unit(kPeriods, text.substr(slash + 1));
  if (period == nullptr) {
    complaint = not_a(text, "a rate of bytes, e.g. 64KiB/s");
    return std::nullopt;
  }
  const auto bytes = parse_size(text.substr(0, slash), complaint);
  if (!bytes) return std::nullopt;
  return static_cast<double>(*bytes) / static_cast<double>(period->factor);
}

std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& complaint) {
  complaint = not_a(text, "host:port, e.g. 127.0.0.1:1883 or [::]:8883");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (!all_digits(digits)) return std::nullopt;
  if (error != std::errc()) {
    complaint = in_quotes(text) + ": a port is at most 65535";
    return std::nullopt;
  }
  Endpoint endpoint;
  endpoint.port = port;
  if (host.starts_with('[') != host.ends_with(']')) return std::nullopt;
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
    endpoint.host = host;
    struct in6_addr address {};
    // A link-local address carries its interface behind a '%', which getaddrinfo() reads.
    const std::string numeric(host.substr(0, host.find('%')));
    if (::inet_pton(AF_INET6, numeric.c_str(), &address) != 1) {
      complaint = not_a(text, "host:port: between the brackets must be an IPv6 address, e.g. [::]:8883");
      return std::nullopt;
    }
    return endpoint;
  }
  if (host.find(':') != std::string_view::npos) {
    complaint = not_a(text, "host:port: an IPv6 address stands in brackets, e.g. [::]:8883");
    return std::nullopt;
  }
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == '[' || c == ']') return std::nullopt;
  }
  endpoint.host = host;
  return endpoint;
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration == kInfinite) return "infinite";
  auto left = static_cast<std::uint64_t>(duration.count());
  std::string out;
  for (const Unit& unit : kDurations) {
    if (const std::uint64_t number = left / unit.factor; number != 0) {
      out += std::to_string(number);
      out += unit.name;
      left %= unit.factor;
    }
  }
  return out.empty() ? "0s" : out;
}

std::string format_grouped(std::uint64_t number) {
  std::string out = std::to_string(number);
  for (std::size_t at = out.size(); at > 3;) {
    at -= 3;
    out.insert(at, 1, ' ');
  }
  return out;
}

bool is_loopback(std::string_view host) {
  const std::string name(host);
  struct in_addr v4 {};
  if (::inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  struct in6_addr v6 {};
  if (::inet_pton(AF_INET6, name.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_LOOPBACK(&v6)) return true;
    return IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127;
  }
  return equal_ignoring_case(host, "localhost");
}

}  // namespace mqloop::config
