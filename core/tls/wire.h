// What OpenSSL reads from and writes to: a BIO between an SSL and the Stream below it. Bytes that the Stream does not
// take at once are kept here, so that OpenSSL never has to wait with a record half written. Until open(), for the
// handshake, OpenSSL gets what was taken before, and whole records only. Without a Stream (while a worker thread is at
// the handshake) bytes only come from and go to the two buffers.
#pragma once

#include <openssl/bio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include <mqloop/transport.h>

namespace mqloop::tls {

class Wire {
 public:
  Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // A BIO on this wire, for SSL_set_bio(), which takes it over. The wire outlives it.
  [[nodiscard]] BIO* make_bio();

  // The Stream below; null: none for now.
  void connect(Stream* below) noexcept { below_ = below; }

  // Moves into the buffer what the Stream has, in one read. kDone: something came. Throws std::bad_alloc.
  IoResult take();
  // Bytes that have come and OpenSSL has not read.
  [[nodiscard]] std::size_t taken() const noexcept { return in_.size() - in_at_; }
  // Lets OpenSSL have those that are whole records, or none that there could be. False: there are none.
  bool offer_records() noexcept;
  // The first of them; 0 when there is none.
  [[nodiscard]] std::uint8_t first() const noexcept { return taken() == 0 ? 0 : in_[in_at_]; }
  // The handshake is over: OpenSSL reads on where it ended, and from the Stream itself.
  void open() noexcept { is_open_ = true; }
  // The Stream may have something again: until this is called, one short read means that it has not.
  void ask_again() noexcept { drained_ = false; }

  // Keeps what is written from here on until flush(), so that several records go in one write.
  void hold() noexcept { holds_ = true; }
  // Gives the Stream what is kept. kDone: all of it, also when that is nothing.
  IoResult flush();
  [[nodiscard]] std::size_t unsent() const noexcept { return out_.size() - out_at_; }
  [[nodiscard]] bool has_unsent() const noexcept { return unsent() != 0; }

  // The peer has ended the connection below.
  [[nodiscard]] bool at_end() const noexcept { return at_end_; }
  // errno of a Stream that broke, or 0.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  static const BIO_METHOD* method();
  static int on_read(BIO* bio, char* into, int size);
  static int on_write(BIO* bio, const char* from, int size);
  static long on_control(BIO* bio, int command, long number, void* pointer);

  IoResult read(std::span<std::uint8_t> into);
  void write(std::span<const std::uint8_t> bytes);

  Stream* below_ = nullptr;
  std::vector<std::uint8_t> in_;
  std::vector<std::uint8_t> out_;
  std::size_t in_at_ = 0;
  std::size_t offered_ = 0;  // in `in_`, up to here
  std::size_t out_at_ = 0;
  int error_ = 0;
  bool is_open_ = false;
  bool holds_ = false;
  bool drained_ = false;
  bool at_end_ = false;
};

}  // namespace mqloop::tls
