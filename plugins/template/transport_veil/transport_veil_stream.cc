#include "transport_veil_stream.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

using namespace mqloop;

TransportVeilStream::TransportVeilStream(std::unique_ptr<Stream> below, std::uint8_t mask)
    : below_(std::move(below)), mask_(mask) {}

// The stream below tells this object, and this object its owner.
Status TransportVeilStream::attach(ReactorApi& reactor, StreamOwner& owner) noexcept {
  owner_ = &owner;
  Status status = below_->attach(reactor, *this);
  if (!status.ok()) owner_ = nullptr;
  return status;
}

// The connection may go on at another reactor: all that this layer knows of it goes along in the object.
bool TransportVeilStream::detach() noexcept {
  if (!below_->detach()) return false;
  owner_ = nullptr;
  return true;
}

IoResult TransportVeilStream::read(std::span<std::uint8_t> into) noexcept {
  const IoResult result = below_->read(into);
  if (result.outcome == IoOutcome::kDone) {
    for (std::uint8_t& byte : into.first(result.bytes)) byte ^= mask_;
  }
  return result;
}

// What is answered counts bytes of `parts`: the rest comes again. So nothing is kept here, and a stream below that
// takes little is no harm. Where a layer must not stop halfway (a record, a frame), it keeps the rest and answers for
// all.
IoResult TransportVeilStream::write(std::span<const iovec> parts) noexcept {
  std::array<std::uint8_t, 16384> veiled;
  std::size_t size = 0;
  for (const iovec& part : parts) {
    const std::span bytes(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
    const std::size_t taken = std::min(bytes.size(), veiled.size() - size);
    for (const std::uint8_t byte : bytes.first(taken)) veiled[size++] = byte ^ mask_;
    if (size == veiled.size()) break;
  }
  const iovec whole{veiled.data(), size};
  return below_->write({&whole, 1});
}
