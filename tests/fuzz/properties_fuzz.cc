// A property section of any packet: what parses is written back byte for byte, can be made again from its values, and
// stays well-formed without any one of its properties.
// Input: one byte for the place (bits 0-3) and the sender (bit 4), then the section.
#include "core/mqtt/property_writer.h"
#include "tests/fuzz/mqtt_input.h"

namespace {

using namespace mqloop::mqtt;  // NOLINT(google-build-using-namespace)

std::vector<std::uint8_t> written(const Properties& properties) {
  std::vector<std::uint8_t> bytes(properties.size());
  fuzz::require(properties.write(bytes.data()) == bytes.data() + bytes.size());
  return bytes;
}

// Asking by identifier gives the first one that walking finds.
void check_questions(const Properties& properties) {
  std::uint64_t seen = 0;
  for (const Property& property : properties) {
    const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(property.id);
    fuzz::require(properties.has(property.id));
    if ((seen & bit) != 0) continue;
    seen |= bit;
    fuzz::require(properties.number(property.id) == property.number);
    fuzz::require(properties.text(property.id) == property.text);
  }
  for (const PropertySpec& spec : property_table()) {
    const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(spec.id);
    fuzz::require(properties.has(spec.id) == ((seen & bit) != 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto place = static_cast<PropertyPlaces>(1U << (data[0] & 15U));
  const Role sender = (data[0] & 16U) != 0 ? Role::kServer : Role::kClient;
  const PropertyLimits limits{.maximum_length = 4096, .maximum_user_properties = 64};
  const fuzz::ExactBlock block({data + 1, size - 1});
  Properties properties;
  if (Properties::parse(block.bytes(), place, sender, limits, properties) != Fault::kNone) return 0;

  check_questions(properties);
  const auto bytes = written(properties);
  fuzz::require(std::equal(bytes.begin(), bytes.end(), block.bytes().begin(), block.bytes().end()));

  PropertyWriter writer;
  writer.add_all(properties);
  fuzz::require(written(writer.properties()) == bytes);
  check_questions(writer.properties());

  for (const PropertySpec& spec : property_table()) {
    const Properties rest = properties.without(spec.id);
    check_questions(rest);
    const fuzz::ExactBlock shorter(written(rest));
    Properties again;
    fuzz::require(Properties::parse(shorter.bytes(), place, sender, limits, again) == Fault::kNone);
    fuzz::require(!again.has(spec.id) && again.size() == rest.size());
  }
  return 0;
}
