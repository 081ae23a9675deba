// A PROXY header: in one piece and in two it comes to the same end and takes the same bytes; what is taken is within
// the bounds, and a client that it tells has an address that can be read. Input: one byte (bits 0-1: which versions are
// taken; the rest: where the input is cut), then the bytes.
#include "core/event/address_set.h"
#include "core/event/proxy_header.h"
#include "tests/fuzz/mqtt_input.h"

namespace {

using namespace mqloop;         // NOLINT(google-build-using-namespace)
using namespace mqloop::event;  // NOLINT(google-build-using-namespace)
namespace fuzz = mqloop::mqtt::fuzz;
using State = ProxyHeaderParser::State;

void check_end(const ProxyHeaderParser& parser) {
  if (parser.state() == State::kRefused) fuzz::require(!parser.refusal().empty());
  if (parser.state() != State::kDone) return;
  const ProxyHeader& header = parser.header();
  if (header.kind == ProxyHeader::Kind::kClient) {
    fuzz::require(header.address == "unix" || ip_of_peer(header.address).has_value());
  } else {
    fuzz::require(header.address.empty());
  }
  if (header.certificate) {
    fuzz::require(header.is_encrypted);
    for (const char c : header.certificate->common_name) fuzz::require(static_cast<unsigned char>(c) >= 0x20);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto taken = static_cast<ProxyProtocol::Version>(data[0] % 3);
  const fuzz::ExactBlock block({data + 1, size - 1});
  const auto bytes = block.bytes();

  ProxyHeaderParser whole(taken);
  const std::size_t used = whole.feed(bytes);
  fuzz::require(used <= bytes.size() && used <= ProxyHeaderParser::kLargest);
  if (whole.state() == State::kNeedsMore) fuzz::require(used == bytes.size());
  check_end(whole);

  const std::size_t cut = bytes.empty() ? 0 : (data[0] >> 2U) % bytes.size();
  ProxyHeaderParser parts(taken);
  std::size_t used_in_parts = parts.feed(bytes.first(cut));
  if (used_in_parts == cut) used_in_parts += parts.feed(bytes.subspan(cut));
  fuzz::require(used_in_parts == used && parts.state() == whole.state());
  fuzz::require(parts.header().address == whole.header().address && parts.refusal() == whole.refusal());
  return 0;
}
