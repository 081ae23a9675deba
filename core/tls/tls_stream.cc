#include "core/tls/tls_stream.h"

#include <openssl/err.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "core/tls/handshake.h"
#include "core/tls/openssl_error.h"

namespace mqloop::tls {

namespace {

// The content of a record.
constexpr std::size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;
// A client needs less for a handshake, its certificates included; nobody makes the broker keep more.
constexpr std::size_t kMostOfHandshake = 128 * 1024;
// Records that go to the stream below in one write.
constexpr int kRecordsAtOnce = 4;
// With answers of TLS itself (KeyUpdate, alerts) to a client that sends and does not read; well above those.
constexpr std::size_t kMostUnsent = 256 * 1024;
constexpr std::uint8_t kHandshakeRecord = 22;
// All workers are busy and as much work as may wait does.
constexpr std::chrono::milliseconds kTryAgain{20};

// What is to be written, a record at a time.
class Parts {
 public:
  explicit Parts(std::span<const iovec> parts, std::size_t skip) noexcept : parts_(parts) { drop(skip); }

  // At most a record, in one piece, where it stands or in `buffer`; empty at the end.
  std::span<const std::uint8_t> next(std::array<std::uint8_t, kRecord>& buffer) noexcept {
    if (parts_.empty()) return {};
    if (const auto rest = first(); rest.size() >= kRecord || parts_.size() == 1) {
      const auto piece = rest.first(std::min(rest.size(), kRecord));
      drop(piece.size());
      return piece;
    }
    std::size_t size = 0;
    while (!parts_.empty() && size != kRecord) {
      const auto rest = first();
      const std::size_t taken = std::min(rest.size(), kRecord - size);
      std::memcpy(buffer.data() + size, rest.data(), taken);
      size += taken;
      drop(taken);
    }
    return {buffer.data(), size};
  }
  [[nodiscard]] bool at_end() const noexcept { return parts_.empty(); }

 private:
  [[nodiscard]] std::span<const std::uint8_t> first() const noexcept {
    return std::span(static_cast<const std::uint8_t*>(parts_[0].iov_base), parts_[0].iov_len).subspan(at_);
  }
  void drop(std::size_t size) noexcept {
    at_ += size;
    while (!parts_.empty() && at_ >= parts_[0].iov_len) {
      at_ -= parts_[0].iov_len;
      parts_ = parts_.subspan(1);
    }
  }

  std::span<const iovec> parts_;
  std::size_t at_ = 0;  // in the first
};

class TlsStream final : public Stream, private StreamOwner {
 public:
  TlsStream(std::unique_ptr<Stream> below, std::shared_ptr<const ServerContext> context)
      : below_(std::move(below)), work_(std::make_unique<Work>(std::move(context))) {}
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  ~TlsStream() override {
    if (state_ == State::kOpen) say_goodbye();
    detach();
    work_->stream = nullptr;
    if (is_away()) (void)work_.release();  // goes when the worker is done
  }

  Status attach(ReactorApi& reactor, StreamOwner& owner) noexcept override {
    if (Status status = below_->attach(reactor, *this); !status.ok()) return status;
    reactor_ = &reactor;
    owner_ = &owner;
    wants_readable_ = true;
    wants_writable_ = false;
    wire().connect(below_.get());
    watch_output();
    return ok();
  }

  // A handshake on a worker belongs to its reactor; nobody has said yet who the client is, so there is no other to go
  // to.
  bool detach() noexcept override {
    if (owner_ == nullptr) return true;
    if (is_away() || !below_->detach()) return false;
    owner_ = nullptr;
    reactor_ = nullptr;
    return true;
  }
  void settle() noexcept override { below_->settle(); }

  IoResult read(std::span<std::uint8_t> into) noexcept override {
    if (state_ == State::kHandshake) {
      if (const IoResult result = shake_hands(); state_ != State::kOpen) return result;
    }
    if (state_ == State::kFailed) return {IoOutcome::kError, error_};
    if (state_ != State::kOpen) return {IoOutcome::kWouldBlock};
    if (wire().unsent() > kMostUnsent) return fail("TLS: the client asks for more answers than it takes");
    ERR_clear_error();
    wire().ask_again();
    std::size_t total = 0;
    int result = 1;
    while (total != into.size()) {
      std::size_t size = 0;
      result = SSL_read_ex(ssl(), into.data() + total, into.size() - total, &size);
      if (result != 1) break;
      total += size;
    }
    const int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl(), result);
    if (wire().has_unsent()) watch_output();
    // What stands in OpenSSL's buffers, and an end or an error behind what came, no event will tell of.
    unread_ = why != SSL_ERROR_WANT_READ;
    IoResult outcome{IoOutcome::kWouldBlock};
    if (why == SSL_ERROR_ZERO_RETURN) outcome = {IoOutcome::kEnd};
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN) outcome = fail();
    return total != 0 ? IoResult{IoOutcome::kDone, 0, total} : outcome;
  }

  IoResult write(std::span<const iovec> parts) noexcept override {
    if (state_ == State::kFailed) return {IoOutcome::kError, error_};
    if (state_ != State::kOpen) return {IoOutcome::kWouldBlock};
    if (const IoResult flushed = wire().flush(); flushed.outcome != IoOutcome::kDone) return flushed;
    ERR_clear_error();
    std::array<std::uint8_t, kRecord> buffer;
    Parts rest(parts, keeps_back_ ? 1 : 0);
    std::size_t done = keeps_back_ ? 1 : 0;
    keeps_back_ = false;
    while (!rest.at_end() && !wire().has_unsent()) {
      for (int i = 0; i != kRecordsAtOnce && !rest.at_end(); ++i) {
        const std::span<const std::uint8_t> record = rest.next(buffer);
        if (i + 1 != kRecordsAtOnce && !rest.at_end()) wire().hold();
        std::size_t size = 0;
        // The wire takes everything, so that a record is never half written.
        if (SSL_write_ex(ssl(), record.data(), record.size(), &size) != 1) return fail();
        done += size;
      }
      if (wire().flush().outcome == IoOutcome::kError) return fail();
    }
    if (!wire().has_unsent()) return {IoOutcome::kDone, 0, done};
    watch_output();
    keeps_back_ = true;
    if (--done == 0) return {IoOutcome::kWouldBlock};
    return {IoOutcome::kDone, 0, done};
  }

  void watch_readable(bool on) noexcept override {
    wants_readable_ = on;
    watch_input();
  }
  void watch_writable(bool on) noexcept override {
    wants_writable_ = on;
    watch_output();
  }
  bool has_unread() const noexcept override { return unread_; }

  void finish_writing() noexcept override {
    if (state_ == State::kOpen) say_goodbye();
    is_finishing_ = true;
    if (!is_away() && !wire().has_unsent()) below_->finish_writing();
  }

  std::string_view peer_address() const noexcept override { return below_->peer_address(); }
  std::string_view source_address() const noexcept override { return below_->source_address(); }
  bool peer_is_loopback() const noexcept override { return below_->peer_is_loopback(); }
  const PeerIdentity* peer_identity() const noexcept override {
    return identity_ ? identity_.get() : below_->peer_identity();
  }
  std::string_view failure() const noexcept override { return failure_.empty() ? below_->failure() : failure_; }

 private:
  enum class State : std::uint8_t { kHandshake, kWorking, kWaiting, kOpen, kFailed };
  // What a worker thread has; outlives the stream when that ends meanwhile. `stream` is the reactor's.
  struct Work {
    explicit Work(std::shared_ptr<const ServerContext> context) noexcept : handshake(std::move(context)) {}
    Handshake handshake;
    TlsStream* stream = nullptr;
  };

  [[nodiscard]] Wire& wire() noexcept { return work_->handshake.wire(); }
  [[nodiscard]] SSL* ssl() const noexcept { return work_->handshake.ssl(); }
  [[nodiscard]] bool is_away() const noexcept { return state_ == State::kWorking || state_ == State::kWaiting; }

  void on_readable() noexcept override { owner_->on_readable(); }

  void on_writable() noexcept override {
    if (!is_away()) {
      const IoResult flushed = wire().flush();
      if (flushed.outcome == IoOutcome::kWouldBlock) return;
    }
    watch_output();
    if (is_finishing_) below_->finish_writing();
    if (wants_writable_) owner_->on_writable();
  }

  void watch_output() noexcept { below_->watch_writable(wants_writable_ || (!is_away() && wire().has_unsent())); }
  // While a worker has the handshake nothing is read; before and after that what the owner wants holds.
  void watch_input() noexcept { below_->watch_readable(wants_readable_ && !is_away()); }

  IoResult shake_hands() noexcept {
    try {
      const std::size_t before = wire().taken();
      if (const IoResult taken = wire().take(); taken.outcome != IoOutcome::kDone) return taken;
      taken_ += wire().taken() - before;
    } catch (const std::bad_alloc&) {
      return {IoOutcome::kError, ENOMEM};
    }
    if (taken_ > kMostOfHandshake) return fail("TLS handshake: the client sends too much");
    if (work_->handshake.ssl() == nullptr && wire().first() != kHandshakeRecord) {
      return fail("TLS handshake: the client does not speak TLS");
    }
    if (!wire().offer_records()) return {IoOutcome::kWouldBlock};
    if (work_->handshake.rest_is_cheap()) {
      work_->handshake.step();
      return take_outcome();
    }
    wire().connect(nullptr);
    work_->stream = this;
    begin_work();
    return {IoOutcome::kWouldBlock};
  }

  void begin_work() noexcept {
    const auto step = [](void* work) noexcept { static_cast<Work*>(work)->handshake.step(); };
    const auto done = [](void* work) noexcept { over(static_cast<Work*>(work), &TlsStream::worked); };
    const auto again = [](void* work) noexcept { over(static_cast<Work*>(work), &TlsStream::begin_work); };
    state_ = reactor_->submit(step, done, work_.get()) ? State::kWorking : State::kWaiting;
    if (state_ == State::kWaiting) reactor_->call_after(kTryAgain, again, work_.get());
    watch_input();
    watch_output();
  }

  static void over(Work* work, void (TlsStream::*then)() noexcept) noexcept {
    if (work->stream != nullptr) {
      (work->stream->*then)();
    } else {
      delete work;
    }
  }

  // A worker has gone on with the handshake. The owner may destroy the stream.
  void worked() noexcept {
    state_ = State::kHandshake;
    wire().connect(below_.get());
    (void)take_outcome();
    watch_input();
    if (state_ != State::kHandshake) owner_->on_readable();
  }

  IoResult take_outcome() noexcept {
    const IoResult flushed = wire().flush();
    if (is_finishing_ && !wire().has_unsent()) below_->finish_writing();
    Handshake& handshake = work_->handshake;
    IoResult result{IoOutcome::kWouldBlock};
    if (handshake.outcome() == Handshake::Outcome::kFailed) {
      result = fail("TLS handshake: " + handshake.failure());
    } else if (flushed.outcome == IoOutcome::kError) {
      result = fail();
    } else if (handshake.outcome() == Handshake::Outcome::kDone) {
      result = open();
    }
    watch_output();
    return result;
  }

  IoResult open() noexcept {
    state_ = State::kOpen;
    wire().open();
    unread_ = true;  // what came along with the end of the handshake
    try {
      std::optional<PeerCertificate> certificate = work_->handshake.take_certificate();
      std::string psk_identity = work_->handshake.take_psk_identity();
      if (!certificate && psk_identity.empty()) return {IoOutcome::kWouldBlock};
      const PeerIdentity* const below = below_->peer_identity();
      identity_ = below != nullptr ? std::make_unique<PeerIdentity>(*below) : std::make_unique<PeerIdentity>();
      if (certificate) identity_->certificate = std::move(certificate);
      identity_->psk_identity = std::move(psk_identity);
      return {IoOutcome::kWouldBlock};
    } catch (const std::bad_alloc&) {
      return fail("no memory for the client's certificate");
    }
  }

  IoResult fail() noexcept {
    if (wire().error() != 0) {
      state_ = State::kFailed;
      error_ = wire().error();
      return {IoOutcome::kError, error_};
    }
    return fail("TLS: " + take_error("the connection broke"));
  }
  IoResult fail(std::string why) noexcept {
    state_ = State::kFailed;
    failure_ = std::move(why);
    return {IoOutcome::kError, EPROTO};
  }

  // Tells the client that this is the end and not somebody who cut the line.
  void say_goodbye() noexcept {
    if ((SSL_get_shutdown(ssl()) & SSL_SENT_SHUTDOWN) != 0) return;
    ERR_clear_error();
    SSL_shutdown(ssl());
    if (wire().has_unsent()) watch_output();
  }

  std::unique_ptr<Stream> below_;
  std::unique_ptr<Work> work_;
  std::unique_ptr<PeerIdentity> identity_;  // null: as the one below says
  StreamOwner* owner_ = nullptr;            // null while detached
  ReactorApi* reactor_ = nullptr;
  std::string failure_;
  int error_ = EPROTO;     // of kFailed
  std::size_t taken_ = 0;  // of the handshake
  State state_ = State::kHandshake;
  bool wants_readable_ = true;
  bool wants_writable_ = false;
  bool unread_ = false;
  bool is_finishing_ = false;
  bool keeps_back_ = false;  // the last byte that was written
};

}  // namespace

std::unique_ptr<Stream> make_tls_stream(std::unique_ptr<Stream> below,
                                        std::shared_ptr<const ServerContext> context) noexcept {
  if (below == nullptr) return nullptr;
  try {
    return std::make_unique<TlsStream>(std::move(below), std::move(context));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace mqloop::tls
