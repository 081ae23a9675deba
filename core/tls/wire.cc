#include "core/tls/wire.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace mqloop::tls {

namespace {

// A TLS record with all that may be around it.
constexpr std::size_t kOneRead = 17 * 1024;
// Of a record (RFC 8446, 5.1 and 5.2).
constexpr std::size_t kHeader = 5;
constexpr std::size_t kMostBehindHeader = 16384 + 2048;

}  // namespace

const BIO_METHOD* Wire::method() {
  static const BIO_METHOD* made = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mqloop::Stream");
    if (method == nullptr) throw std::bad_alloc();
    BIO_meth_set_read(method, on_read);
    BIO_meth_set_write(method, on_write);
    BIO_meth_set_ctrl(method, on_control);
    return method;
  }();
  return made;
}

BIO* Wire::make_bio() {
  BIO* bio = BIO_new(method());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  return bio;
}

int Wire::on_read(BIO* bio, char* into, int size) {
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  const IoResult result = wire->read({reinterpret_cast<std::uint8_t*>(into), static_cast<std::size_t>(size)});
  switch (result.outcome) {
    case IoOutcome::kDone:
      return static_cast<int>(result.bytes);
    case IoOutcome::kWouldBlock:
      BIO_set_retry_read(bio);
      return -1;
    case IoOutcome::kEnd:
      return 0;
    case IoOutcome::kError:
      return -1;
  }
  return -1;
}

int Wire::on_write(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  try {
    wire->write({reinterpret_cast<const std::uint8_t*>(from), static_cast<std::size_t>(size)});
  } catch (const std::bad_alloc&) {
    wire->error_ = ENOMEM;
  }
  return wire->error_ == 0 ? size : -1;
}

long Wire::on_control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return static_cast<Wire*>(BIO_get_data(bio))->at_end_ ? 1 : 0;
    default:
      return 0;
  }
}

IoResult Wire::read(std::span<std::uint8_t> into) {
  if (const std::size_t ready = (is_open_ ? in_.size() : offered_) - in_at_; ready != 0) {
    const std::size_t size = std::min(ready, into.size());
    std::memcpy(into.data(), in_.data() + in_at_, size);
    in_at_ += size;
    if (taken() == 0) {
      in_ = {};
      in_at_ = offered_ = 0;
    }
    return {IoOutcome::kDone, 0, size};
  }
  if (error_ != 0) return {IoOutcome::kError, error_};
  if (at_end_) return {IoOutcome::kEnd};
  if (!is_open_ || drained_) return {IoOutcome::kWouldBlock};
  const IoResult result = below_->read(into);
  at_end_ = result.outcome == IoOutcome::kEnd;
  if (result.outcome == IoOutcome::kError) error_ = result.error;
  drained_ = result.outcome != IoOutcome::kDone || result.bytes < into.size();
  return result;
}

IoResult Wire::take() {
  std::array<std::uint8_t, kOneRead> buffer;
  const IoResult result = below_->read(buffer);
  if (result.outcome == IoOutcome::kDone)
    in_.insert(in_.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(result.bytes));
  at_end_ = result.outcome == IoOutcome::kEnd;
  if (result.outcome == IoOutcome::kError) error_ = result.error;
  return result;
}

bool Wire::offer_records() noexcept {
  offered_ = std::max(offered_, in_at_);
  while (in_.size() - offered_ >= kHeader) {
    const std::size_t size = static_cast<std::size_t>(in_[offered_ + 3]) << 8 | in_[offered_ + 4];
    if (size > kMostBehindHeader) {
      offered_ = in_.size();
    } else if (in_.size() - offered_ >= kHeader + size) {
      offered_ += kHeader + size;
    } else {
      break;
    }
  }
  return offered_ != in_at_;
}

void Wire::write(std::span<const std::uint8_t> bytes) {
  if (below_ != nullptr && !holds_ && !has_unsent()) {
    const iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    const IoResult result = below_->write({&part, 1});
    if (result.outcome == IoOutcome::kError) {
      error_ = result.error;
      return;
    }
    if (result.outcome == IoOutcome::kDone) bytes = bytes.subspan(result.bytes);
  }
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

IoResult Wire::flush() {
  holds_ = false;
  while (has_unsent()) {
    const iovec part{out_.data() + out_at_, out_.size() - out_at_};
    const IoResult result = below_->write({&part, 1});
    if (result.outcome == IoOutcome::kError) error_ = result.error;
    if (result.outcome != IoOutcome::kDone) return result;
    out_at_ += result.bytes;
  }
  if (out_at_ != 0) out_ = {};
  out_at_ = 0;
  return {IoOutcome::kDone};
}

}  // namespace mqloop::tls
