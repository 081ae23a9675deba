// PropertyWriter makes the property section of a packet that is about to be encoded. It owns the bytes; the Properties
// that it hands out borrow them and die at the next add() or with the writer. It writes what it is told and trusts the
// caller for what the packet may carry. One thread at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/mqtt/property.h"

namespace mqloop::mqtt {

class PropertyWriter {
 public:
  // `id` is of a numeric type, and `number` in the range of it.
  PropertyWriter& add(PropertyId id, std::uint32_t number);
  // `id` is a string or binary data; of more than 65,535 bytes the first 65,535 are taken, cut between two characters.
  PropertyWriter& add(PropertyId id, std::string_view text);
  PropertyWriter& add_user_property(std::string_view name, std::string_view value);
  // Copies every property of `source` that is not hidden.
  PropertyWriter& add_all(const Properties& source);

  void clear() noexcept;
  [[nodiscard]] const Properties& properties() noexcept;

 private:
  void begin(PropertyId id);
  void append_text(std::string_view text);

  std::vector<std::uint8_t> bytes_;
  Properties view_;
};

}  // namespace mqloop::mqtt
