#include "tests/bench/support/bare_client.h"

#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/bench/support/bare_broker.h"
#include "tests/bench/support/meter.h"

namespace mqloop::bench {

// The broker's end of the connection.
class BareClient::Wire final : public Stream {
 public:
  explicit Wire(BareClient& client) : client_(client) {}
  ~Wire() override {
    if (client_.wire_ == this) client_.wire_ = nullptr;
  }

  Status attach(ReactorApi& /*reactor*/, StreamOwner& owner) noexcept override {
    owner_ = &owner;
    client_.ask_to_be_read();
    return ok();
  }
  bool detach() noexcept override {
    owner_ = nullptr;
    return true;
  }

  IoResult read(std::span<std::uint8_t> into) noexcept override {
    const Uncounted system;
    const std::size_t size = std::min(into.size(), client_.sent_.size() - client_.sent_from_);
    if (size == 0) return {ended_ ? IoOutcome::kEnd : IoOutcome::kWouldBlock};
    std::memcpy(into.data(), client_.sent_.data() + client_.sent_from_, size);
    client_.sent_from_ += size;
    if (client_.sent_from_ == client_.sent_.size()) {
      client_.sent_ = {};
      client_.sent_from_ = 0;
    }
    return {IoOutcome::kDone, 0, size};
  }

  IoResult write(std::span<const iovec> parts) noexcept override {
    const Uncounted system;
    if (client_.arrived_.empty()) client_.broker_.has_output(client_);
    std::size_t written = 0;
    for (const iovec& part : parts) {
      const auto* data = static_cast<const std::uint8_t*>(part.iov_base);
      client_.arrived_.insert(client_.arrived_.end(), data, data + part.iov_len);
      written += part.iov_len;
    }
    return {IoOutcome::kDone, 0, written};
  }

  void watch_readable(bool on) noexcept override {
    watched_ = on;
    client_.ask_to_be_read();
  }
  void watch_writable(bool /*on*/) noexcept override {}
  // The client ends its side too.
  void finish_writing() noexcept override {
    ended_ = true;
    client_.ask_to_be_read();
  }
  [[nodiscard]] std::string_view peer_address() const noexcept override { return "127.0.0.1:50000"; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return true; }

  [[nodiscard]] StreamOwner* owner() const noexcept { return watched_ ? owner_ : nullptr; }
  [[nodiscard]] bool is_ended() const noexcept { return ended_; }

 private:
  BareClient& client_;
  StreamOwner* owner_ = nullptr;
  bool watched_ = true;
  bool ended_ = false;
};

BareClient::BareClient(BareBroker& broker, std::string id, ProtocolVersion version)
    : Client(std::move(id), version), broker_(broker) {}

std::unique_ptr<Stream> BareClient::make_stream() {
  auto wire = std::make_unique<Wire>(*this);
  wire_ = wire.get();
  return wire;
}

void BareClient::connect(bool clean_start, bool keep_session) {
  sent_ = {};
  sent_from_ = 0;
  arrived_ = {};
  broker_.connect(*this);
  send_connect(clean_start, keep_session);
}

bool BareClient::is_readable() const noexcept {
  return wire_ != nullptr && wire_->owner() != nullptr && (sent_from_ != sent_.size() || wire_->is_ended());
}

void BareClient::ask_to_be_read() {
  const Uncounted system;
  if (!is_readable() || std::exchange(in_readable_, true)) return;
  broker_.loop().readable(*this);
}

void BareClient::handle_readable() noexcept {
  in_readable_ = false;
  if (is_readable()) wire_->owner()->on_readable();
}

}  // namespace mqloop::bench
