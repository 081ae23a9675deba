#include "core/mqtt/property_writer.h"

#include <algorithm>

#include "core/base/utf8.h"

namespace mqloop::mqtt {
namespace {

constexpr std::size_t kMaximumText = 65'535;

void append_be(std::vector<std::uint8_t>& bytes, std::uint32_t value, unsigned size) {
  for (unsigned shift = 8 * size; shift != 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
  }
}

void append_variable(std::vector<std::uint8_t>& bytes, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<std::uint8_t>(value | 0x80U));
  bytes.push_back(static_cast<std::uint8_t>(value));
}

}  // namespace

void PropertyWriter::begin(PropertyId id) {
  bytes_.push_back(static_cast<std::uint8_t>(id));
  view_.note(id, bytes_.size());
}

void PropertyWriter::append_text(std::string_view text) {
  if (text.size() > kMaximumText) text = text.substr(0, utf8_prefix_length(text.substr(0, kMaximumText)));
  append_be(bytes_, static_cast<std::uint32_t>(text.size()), 2);
  bytes_.insert(bytes_.end(), text.begin(), text.end());
}

PropertyWriter& PropertyWriter::add(PropertyId id, std::uint32_t number) {
  begin(id);
  switch (find_property(static_cast<std::uint32_t>(id))->type) {
    case PropertyType::kByte:
      append_be(bytes_, number, 1);
      break;
    case PropertyType::kU16:
      append_be(bytes_, number, 2);
      break;
    case PropertyType::kU32:
      append_be(bytes_, number, 4);
      break;
    default:
      append_variable(bytes_, number);
      break;
  }
  return *this;
}

PropertyWriter& PropertyWriter::add(PropertyId id, std::string_view text) {
  begin(id);
  append_text(text);
  return *this;
}

PropertyWriter& PropertyWriter::add_user_property(std::string_view name, std::string_view value) {
  begin(PropertyId::kUserProperty);
  append_text(name);
  append_text(value);
  return *this;
}

PropertyWriter& PropertyWriter::add_all(const Properties& source) {
  for (const Property& property : source) {
    const PropertyType type = find_property(static_cast<std::uint32_t>(property.id))->type;
    if (type == PropertyType::kUtf8Pair) {
      add_user_property(property.text, property.value);
    } else if (type == PropertyType::kUtf8 || type == PropertyType::kBinary) {
      add(property.id, property.text);
    } else {
      add(property.id, property.number);
    }
  }
  return *this;
}

void PropertyWriter::clear() noexcept {
  bytes_.clear();
  view_ = Properties();
}

const Properties& PropertyWriter::properties() noexcept {
  view_.data_ = bytes_.data();
  view_.length_ = view_.size_ = static_cast<std::uint32_t>(bytes_.size());
  return view_;
}

}  // namespace mqloop::mqtt
