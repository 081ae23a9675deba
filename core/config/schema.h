// What Schema and Option hold behind their public faces. Read by check(), by the printers and by the JSON Schema.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mqloop/config.h>

#include "core/config/document.h"

namespace mqloop::config {

enum class OptionType : std::uint8_t {
  kBoolean,
  kInteger,
  kNumber,
  kString,
  kDuration,
  kSize,
  kRate,
  kByteRate,
  kEndpoint,
  kPath,
  kSecret,
  kEnumeration,
  kSection,
  kAnything,
};

enum class Shape : std::uint8_t { kOne, kList, kMap };

// What it takes for a changed value to have its effect.
enum class Reload : std::uint8_t {
  kLive,      // a reload
  kListener,  // a reload, which opens the listener again
  kRestart,   // a restart
};

struct Bound {
  std::string text;
  std::string of_what;
};

struct OptionRule {
  std::string name;
  std::string help;
  OptionType type = OptionType::kString;
  Shape shape = Shape::kOne;
  bool required = false;
  bool not_empty = false;
  std::optional<std::string> default_text;
  std::optional<Bound> least;
  std::optional<Bound> most;
  std::vector<std::string> words;        // kEnumeration
  std::vector<std::string> extra_words;  // or_word()
  std::unique_ptr<Schema> section;       // kSection, or or_section()
  std::string named_by;                  // the key that names the blocks of a list; "" = none
  std::optional<Reload> reload;          // absent: as the block around it
};

struct SchemaRules {
  std::vector<std::unique_ptr<Option>> options;
  // Keys that are not described are copied unchecked: another schema will check them.
  bool open = false;
  // Keys that nobody wrote stay missing: what holds then stands in another block.
  bool sparse = false;
};

[[nodiscard]] const OptionRule* find_option(const Schema& schema, std::string_view name) noexcept;
// What stands where nobody wrote anything and the schema names no default, as it would be written.
[[nodiscard]] std::string_view zero_text(const OptionRule& rule) noexcept;
// Says what it takes for this option of the schema, and all that is in it, to change.
void set_reload(Schema& schema, std::string_view name, Reload reload) noexcept;
// L, R or X, as documentation marks a key.
[[nodiscard]] char letter_of(Reload reload) noexcept;
// Leaves keys that `schema` does not describe to another one.
void leave_open(Schema& schema) noexcept;
// Fills in no defaults, neither in `schema` nor in the blocks within.
void leave_sparse(Schema& schema) noexcept;

}  // namespace mqloop::config
