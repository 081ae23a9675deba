// What a plugin sees of the configuration file. In describe() it fills a Schema: the name, type, default and range of
// every option it takes. The host holds the plugin's `config:` block against that schema, reports every mistake with
// file, line and column, fills in the defaults, and only then calls configure() with the ConfigNode of the checked
// block.
//
// So configure() reads values and never parses, guesses or supplies a default: every described option is there.
// Thread: whoever configures the plugin; a ConfigNode is read-only and may be read from any thread. It points into a
// tree that lives as long as the plugin instance it was made for.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/export.h>
#include <mqloop/status.h>

namespace mqloop {

namespace config {
struct Node;
struct OptionRule;
struct SchemaRules;
struct Access;
enum class OptionType : std::uint8_t;
}  // namespace config

// `infinite` of a duration.
inline constexpr std::chrono::milliseconds kInfinite = std::chrono::milliseconds::max();

// An address to listen on or to connect to: `127.0.0.1:1883`, `[::]:8883`, `broker.example:1883`. The host is without
// brackets and not resolved.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

// One value of the configuration: a scalar, a list or a map. A handle of two pointers: copy it freely.
//
// Looking up what is not there gives a ConfigNode for which exists() is false; nothing here throws. A getter that does
// not fit the option's described type answers with that type's zero value ("", false, 0, empty): a fault of the plugin,
// which its first test shows.
class MQLOOP_API ConfigNode {
 public:
  class Iterator;

  ConfigNode() noexcept = default;

  // The value of `key` in a map; missing in anything else.
  [[nodiscard]] ConfigNode operator[](std::string_view key) const noexcept;
  // The element at `index` of a list or a map, in the order of the file; missing beyond the end.
  [[nodiscard]] ConfigNode at(std::size_t index) const noexcept;
  // Elements of a list or a map; 0 for a scalar.
  [[nodiscard]] std::size_t size() const noexcept;
  // `for (ConfigNode item : node)`; an item of a map knows its key().
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept;
  // The name under which this value stands in its map; empty for an element of a list.
  [[nodiscard]] std::string_view key() const noexcept;

  [[nodiscard]] bool exists() const noexcept { return node_ != nullptr; }
  [[nodiscard]] bool is_scalar() const noexcept;
  [[nodiscard]] bool is_list() const noexcept;
  [[nodiscard]] bool is_map() const noexcept;
  // True when nobody wrote this value and the schema's default stands here.
  [[nodiscard]] bool is_default() const noexcept;

  // The text of a scalar: of a string as written, of a path made absolute, of a secret what its file holds. Borrowed
  // from the tree.
  [[nodiscard]] std::string_view text() const noexcept;
  [[nodiscard]] std::string as_string() const { return std::string(text()); }
  [[nodiscard]] bool as_bool() const noexcept;
  [[nodiscard]] std::int64_t as_int() const noexcept;
  [[nodiscard]] std::uint64_t as_uint() const noexcept;
  [[nodiscard]] double as_double() const noexcept;
  // Milliseconds; kInfinite for `infinite`.
  [[nodiscard]] std::chrono::milliseconds as_duration() const noexcept;
  // Bytes.
  [[nodiscard]] std::uint64_t as_size() const noexcept;
  // Events (or bytes, for a byte rate) per second; `6000/m` is 100.
  [[nodiscard]] double as_rate() const noexcept;
  [[nodiscard]] Endpoint as_endpoint() const;
  // The texts of a list of scalars, of a map of scalars.
  [[nodiscard]] std::vector<std::string> as_list() const;
  [[nodiscard]] std::map<std::string, std::string, std::less<>> as_map() const;

  // `mqloop.yaml:29:5` (line and column count from 1); for a default, the place of the block that it was filled into.
  [[nodiscard]] std::string position() const;
  // What configure() returns when a value is well formed and wrong all the same. The text gets the position as its
  // prefix: `return node["code"].error("the badge code is empty");` says `mqloop.yaml:31:17: the badge code is empty`.
  [[nodiscard]] Status error(std::string_view message) const;

 private:
  friend struct config::Access;
  ConfigNode(const config::Node* node, const config::Node* parent) noexcept : node_(node), parent_(parent) {}

  const config::Node* node_ = nullptr;
  const config::Node* parent_ = nullptr;  // where error() points when node_ is missing
};

class ConfigNode::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = ConfigNode;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = ConfigNode;

  Iterator() noexcept = default;
  Iterator(ConfigNode parent, std::size_t index) noexcept : parent_(parent), index_(index) {}
  ConfigNode operator*() const noexcept { return parent_.at(index_); }
  Iterator& operator++() noexcept {
    ++index_;
    return *this;
  }
  Iterator operator++(int) noexcept {
    Iterator before = *this;
    ++index_;
    return before;
  }
  friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.index_ == b.index_; }

 private:
  ConfigNode parent_;
  std::size_t index_ = 0;
};

inline ConfigNode::Iterator ConfigNode::begin() const noexcept { return {*this, 0}; }
inline ConfigNode::Iterator ConfigNode::end() const noexcept { return {*this, size()}; }

class Schema;

// One option of a Schema; its setters chain: `s.integer("workers", "threads that
// hash").defaults_to("4").at_most("64")`. Values are given as they would be written in the file, units included.
//
// An option that is neither required nor given a default has its type's zero value: "", false, 0, 0s, 0B, 0/s, the
// first word of an enumeration, an empty list or map.
class MQLOOP_API Option {
 public:
  Option(const Option&) = delete;
  Option& operator=(const Option&) = delete;
  ~Option();

  // A scalar's text, or for a list or a map its YAML on one line: `[3, 4, 5]`, `{info: stderr}`.
  Option& defaults_to(std::string_view value);
  // The file must give it. Excludes a default. Inside a section that is not written at all it asks for nothing, and
  // then the whole section is missing (exists() is false).
  Option& required();
  // Bounds, both inclusive, of integer, number, duration, size and rate. `of_what` names whose bound it is: "the MQTT
  // maximum" gives `99999999s is above the MQTT maximum 65535s (18h12m15s)`.
  Option& at_least(std::string_view value, std::string_view of_what = "the minimum");
  Option& at_most(std::string_view value, std::string_view of_what = "the maximum");
  // Refuses the empty text, list or map.
  Option& not_empty();
  // This word is legal too, whatever the type: `threads: auto`. Test for it with text().
  Option& or_word(std::string_view word);
  // The value may also be a map with the keys of the returned schema: `output: stderr | {file: path}`. Test with
  // is_map().
  Schema& or_section();
  // The value is a list of what was described so far, or a map from freely chosen names to it.
  Option& list();
  Option& map();

 private:
  friend class Schema;
  friend struct config::Access;
  Option();
  config::OptionRule* rule_;
};

// The options of one block. Filled in describe(); kept by the host, which also makes the JSON Schema for editors from
// it. `help` is one line without a full stop; it appears in --print-default and in the JSON Schema.
class MQLOOP_API Schema {
 public:
  Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;
  ~Schema();

  Option& boolean(std::string_view name, std::string_view help);    // true | false
  Option& integer(std::string_view name, std::string_view help);    // 12  -3  0x1f  (010 is ten)
  Option& number(std::string_view name, std::string_view help);     // 1.5
  Option& string(std::string_view name, std::string_view help);     // any scalar
  Option& duration(std::string_view name, std::string_view help);   // 250ms 30s 5m 12h 7d | infinite
  Option& size(std::string_view name, std::string_view help);       // 512B 64KiB 1MiB 2GiB
  Option& rate(std::string_view name, std::string_view help);       // 100/s 6000/m
  Option& byte_rate(std::string_view name, std::string_view help);  // 64KiB/s
  Option& endpoint(std::string_view name, std::string_view help);   // 127.0.0.1:1883  [::]:8883  name:1883
  // A file or a folder; a relative one starts at the folder of the configuration file that names it. "" stays "".
  Option& path(std::string_view name, std::string_view help);
  // A string that is never printed; may be written as `{file: path}`, and then is the file's content less one final
  // newline.
  Option& secret(std::string_view name, std::string_view help);
  Option& enumeration(std::string_view name, std::string_view help, std::initializer_list<std::string_view> words);
  Option& map_of_string(std::string_view name, std::string_view help);
  Option& list_of_string(std::string_view name, std::string_view help);

  // A block of options under a key.
  Schema& section(std::string_view name, std::string_view help);
  // A list of blocks. Each has the key `named_by`, which is described already: required, and no two blocks have the
  // same.
  // "" where blocks have no name.
  Schema& list_of_sections(std::string_view name, std::string_view help, std::string_view named_by = "name",
                           std::string_view defaults_to = "[]");
  // A map from freely chosen names to blocks.
  Schema& map_of_sections(std::string_view name, std::string_view help, std::string_view defaults_to = "{}");
  // A value that somebody else checks.
  Option& anything(std::string_view name, std::string_view help);

 private:
  friend struct config::Access;
  Option& add(std::string_view name, std::string_view help, config::OptionType type);
  config::SchemaRules* rules_;
};

}  // namespace mqloop
