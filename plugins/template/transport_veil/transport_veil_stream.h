// The layer itself: a Stream over a Stream, on which every byte is changed by a mask. It shows what a layer has to do,
// and hides nothing from anybody.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <mqloop/transport.h>

class TransportVeilStream final : public mqloop::Stream, private mqloop::StreamOwner {
 public:
  TransportVeilStream(std::unique_ptr<mqloop::Stream> below, std::uint8_t mask);

  mqloop::Status attach(mqloop::ReactorApi& reactor, mqloop::StreamOwner& owner) noexcept override;
  bool detach() noexcept override;
  void settle() noexcept override { below_->settle(); }
  mqloop::IoResult read(std::span<std::uint8_t> into) noexcept override;
  mqloop::IoResult write(std::span<const iovec> parts) noexcept override;
  void watch_readable(bool on) noexcept override { below_->watch_readable(on); }
  void watch_writable(bool on) noexcept override { below_->watch_writable(on); }
  // A layer that keeps decoded bytes says so here too, because no event will come for them.
  [[nodiscard]] bool has_unread() const noexcept override { return below_->has_unread(); }
  void finish_writing() noexcept override { below_->finish_writing(); }
  [[nodiscard]] std::string_view peer_address() const noexcept override { return below_->peer_address(); }
  [[nodiscard]] std::string_view source_address() const noexcept override { return below_->source_address(); }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return below_->peer_is_loopback(); }
  [[nodiscard]] const mqloop::PeerIdentity* peer_identity() const noexcept override { return below_->peer_identity(); }

 private:
  // Told by the stream below. Either call may destroy this object, so nothing comes after it.
  void on_readable() noexcept override { owner_->on_readable(); }
  void on_writable() noexcept override { owner_->on_writable(); }

  std::unique_ptr<mqloop::Stream> below_;
  mqloop::StreamOwner* owner_ = nullptr;  // null while detached
  std::uint8_t mask_;
};
