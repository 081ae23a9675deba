// Runs the layer without a broker and without a network, over a stream of this test. `make check` builds this with the
// plugin's sources and runs it; every *_test.cc beside it is another such program, and any test framework will do.
#include <sys/uio.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "transport_veil_stream.h"

using namespace mqloop;

namespace {

int passed = 0;
int failed = 0;

void expect(bool holds, const char* what) {
  if (!holds) std::printf("FAILED: %s\n", what);
  ++(holds ? passed : failed);
}

// What the peer has sent, and what it is sent: three bytes a call.
struct Wire {
  std::string from_peer;
  std::string to_peer;
  bool is_broken = false;
};

class ShortStream final : public Stream {
 public:
  explicit ShortStream(Wire& wire) : wire_(wire) {}
  Status attach(ReactorApi&, StreamOwner&) noexcept override { return ok(); }
  bool detach() noexcept override { return true; }
  IoResult read(std::span<std::uint8_t> into) noexcept override {
    if (wire_.is_broken) return {IoOutcome::kError, 104};
    const std::size_t size = std::min({wire_.from_peer.size(), into.size(), std::size_t{3}});
    if (size == 0) return {IoOutcome::kWouldBlock};
    std::copy_n(wire_.from_peer.begin(), size, into.begin());
    wire_.from_peer.erase(0, size);
    return {IoOutcome::kDone, 0, size};
  }
  IoResult write(std::span<const iovec> parts) noexcept override {
    const std::size_t size = std::min<std::size_t>(parts[0].iov_len, 3);
    wire_.to_peer.append(static_cast<const char*>(parts[0].iov_base), size);
    return {IoOutcome::kDone, 0, size};
  }
  void watch_readable(bool) noexcept override {}
  void watch_writable(bool) noexcept override {}
  void finish_writing() noexcept override {}
  std::string_view peer_address() const noexcept override { return "192.0.2.1:50000"; }
  bool peer_is_loopback() const noexcept override { return false; }

 private:
  Wire& wire_;
};

std::string veiled(std::string text) {
  for (char& c : text) c ^= 0x5A;
  return text;
}

}  // namespace

int main() {
  Wire wire;
  TransportVeilStream stream(std::make_unique<ShortStream>(wire), 0x5A);

  wire.from_peer = veiled("hello");
  std::string heard;
  std::uint8_t bytes[16];
  IoResult result = stream.read(bytes);
  for (; result.outcome == IoOutcome::kDone; result = stream.read(bytes)) heard.append(bytes, bytes + result.bytes);
  expect(heard == "hello", "what the peer sends is unveiled");
  expect(result.outcome == IoOutcome::kWouldBlock, "there is nothing more");

  std::string words[] = {"to", " ", "whom it may concern"};
  std::size_t told = 0;
  const std::string all = words[0] + words[1] + words[2];
  while (told != all.size()) {
    std::string rest = all.substr(told);
    const iovec parts[] = {{rest.data(), 1}, {rest.data() + 1, rest.size() - 1}};
    const IoResult written = stream.write(std::span(parts, rest.size() == 1 ? 1 : 2));
    if (written.outcome != IoOutcome::kDone || written.bytes == 0) break;
    told += written.bytes;
  }
  expect(veiled(wire.to_peer) == all, "what is written arrives, in however many pieces");

  wire.is_broken = true;
  expect(stream.read(bytes).error == 104, "what goes wrong below is told");
  expect(stream.peer_address() == "192.0.2.1:50000", "the peer is the one below");

  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
