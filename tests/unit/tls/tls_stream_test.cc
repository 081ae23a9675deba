#include "core/tls/tls_stream.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

#include <mqloop/socket.h>

#include "core/event/worker_pool.h"
#include "tests/unit/event/accepting.h"
#include "tests/unit/tls/tls_fixture.h"

namespace mqloop::tls {

namespace {

using testing::Client;
using testing::Files;
using testing::Line;
using testing::MemoryStream;
using testing::Reader;
using testing::TlsReactor;

// A connection with the broker's part at one end and a client at the other.
struct Connection {
  explicit Connection(int version = TLS1_3_VERSION, ServerOptions said = {}) {
    files.make("server", "localhost");
    ServerOptions options = files.options();
    options.alpn = said.alpn;
    options.tickets = said.tickets;
    context = *ServerContext::load(options);
    reader = std::make_unique<Reader>(make_tls_stream(std::make_unique<MemoryStream>(line), context));
    CHECK(stream().attach(reactor, *reader).ok());
    client = std::make_unique<Client>(line, version);
  }
  [[nodiscard]] Stream& stream() const { return *reader->stream; }
  void tell_readable() {
    if (line.watches_input && line.owner != nullptr) line.owner->on_readable();
  }
  void tell_writable() {
    if (line.watches_output && line.owner != nullptr) line.owner->on_writable();
  }
  void open() {
    for (int i = 0; i != 10 && !client->shake_hands(); ++i) {
      tell_readable();
      reactor.work_off();
    }
    tell_readable();
    reactor.work_off();
    client->read();
    CHECK_TRUE(SSL_is_init_finished(client->ssl()) == 1);
    line.writes = 0;
  }

  Files files;
  TlsReactor reactor;
  Line line;
  std::shared_ptr<const ServerContext> context;
  std::unique_ptr<Reader> reader;
  std::unique_ptr<Client> client;
};

// How many records there are, by their headers.
int records_in(std::string_view bytes) {
  int count = 0;
  while (bytes.size() >= 5) {
    const std::size_t size = static_cast<unsigned char>(bytes[3]) << 8 | static_cast<unsigned char>(bytes[4]);
    bytes.remove_prefix(std::min(bytes.size(), 5 + size));
    ++count;
  }
  return count;
}

std::string numbered(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
  text.resize(size);
  return text;
}

}  // namespace

TEST_GROUP(TlsStream){};

TEST(TlsStream, carries_bytes_both_ways_after_a_handshake_on_a_worker) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Connection connection(version);
    connection.open();
    // The last flight of TLS 1.3 is not worth a worker; 1.2 agrees on keys in it.
    LONGS_EQUAL(version == TLS1_3_VERSION ? 1 : 2, connection.reactor.submitted);
    connection.client->write("hello");
    connection.tell_readable();
    STRCMP_EQUAL("hello", connection.reader->text.c_str());
    LONGS_EQUAL(5, connection.reader->write("there"));
    STRCMP_EQUAL("there", connection.client->read().c_str());
  }
}

TEST(TlsStream, what_came_along_with_the_end_of_the_handshake_is_read_without_another_event) {
  Connection connection;
  connection.client->shake_hands();
  connection.tell_readable();
  connection.reactor.work_off();
  CHECK_TRUE(connection.client->shake_hands());
  connection.client->write("hello");  // with Finished in one packet
  connection.tell_readable();
  STRCMP_EQUAL("hello", connection.reader->text.c_str());
}

TEST(TlsStream, a_worker_is_asked_only_when_a_whole_record_is_there) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Connection connection(version);
    for (int i = 0; i != 10 && !connection.client->shake_hands(); ++i) {
      for (const char byte : std::exchange(connection.line.to_server, {})) {
        connection.line.to_server = byte;
        connection.tell_readable();
        connection.reactor.work_off();
      }
    }
    for (const char byte : std::exchange(connection.line.to_server, {})) {
      connection.line.to_server = byte;
      connection.tell_readable();
      connection.reactor.work_off();
    }
    CHECK(connection.reactor.submitted <= 4);  // 1.2: ClientHello, ClientKeyExchange, ChangeCipherSpec, Finished
    connection.client->write("hello");
    connection.tell_readable();
    STRCMP_EQUAL("hello", connection.reader->text.c_str());
  }
}

TEST(TlsStream, records_that_are_cut_anywhere_are_put_together) {
  for (std::size_t cut = 1; cut < 400; cut += 7) {
    Connection connection;
    connection.client->shake_hands();
    std::string rest = connection.line.to_server.substr(std::min(cut, connection.line.to_server.size()));
    connection.line.to_server.resize(connection.line.to_server.size() - rest.size());
    connection.tell_readable();
    connection.reactor.work_off();
    connection.line.to_server = rest;
    connection.tell_readable();
    connection.reactor.work_off();
    CHECK_TRUE(connection.client->shake_hands());
    connection.client->write("hello");
    rest = connection.line.to_server.substr(std::min(cut, connection.line.to_server.size()));
    connection.line.to_server.resize(connection.line.to_server.size() - rest.size());
    connection.tell_readable();
    connection.line.to_server = rest;
    connection.tell_readable();
    STRCMP_EQUAL("hello", connection.reader->text.c_str());
  }
}

TEST(TlsStream, nobody_reads_while_a_worker_has_the_handshake) {
  Connection connection;
  connection.client->shake_hands();
  connection.tell_readable();
  CHECK_FALSE(connection.line.watches_input);
  std::uint8_t byte[1];
  CHECK(connection.stream().read(byte).outcome == IoOutcome::kWouldBlock);
  LONGS_EQUAL(0, connection.reader->write("x"));
  CHECK(connection.reader->last_write == IoOutcome::kWouldBlock);
  CHECK_FALSE(connection.stream().detach());
  connection.reactor.work_off();
  CHECK_TRUE(connection.line.watches_input);
}

TEST(TlsStream, when_workers_have_enough_to_do_the_handshake_waits_for_one) {
  Connection connection;
  connection.reactor.takes_work = false;
  connection.client->shake_hands();
  connection.tell_readable();
  for (int i = 0; i != 3; ++i) connection.reactor.call_later_ones();
  LONGS_EQUAL(1, connection.reactor.later.size());
  connection.reactor.takes_work = true;
  connection.reactor.call_later_ones();
  connection.open();
  connection.client->write("hello");
  connection.tell_readable();
  STRCMP_EQUAL("hello", connection.reader->text.c_str());
}

TEST(TlsStream, a_connection_may_end_while_a_worker_has_it_or_is_awaited) {
  for (const bool takes_work : {true, false}) {
    Connection connection;
    connection.reactor.takes_work = takes_work;
    connection.client->shake_hands();
    connection.tell_readable();
    connection.stream().finish_writing();
    connection.reader.reset();
    CHECK_FALSE(connection.line.is_open);
    connection.reactor.work_off();
    connection.reactor.call_later_ones();
  }
}

TEST(TlsStream, one_write_is_one_record_in_one_write_below) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Connection connection(version);
    connection.open();
    const std::string one = numbered(700), two = numbered(40), three = numbered(9000);
    const iovec parts[] = {{const_cast<char*>(one.data()), one.size()},
                           {const_cast<char*>(two.data()), two.size()},
                           {const_cast<char*>(three.data()), three.size()}};
    LONGS_EQUAL(one.size() + two.size() + three.size(), connection.stream().write(parts).bytes);
    LONGS_EQUAL(1, connection.line.writes);
    LONGS_EQUAL(1, records_in(connection.line.to_client));
    CHECK(connection.client->read() == one + two + three);
  }
}

TEST(TlsStream, a_large_write_is_a_record_for_each_16_kib_and_a_write_below_for_each_four) {
  Connection connection;
  connection.open();
  std::vector<std::string> texts;
  std::vector<iovec> parts;
  for (int i = 0; i != 64; ++i) texts.push_back(numbered(4096));  // as the broker writes: 256 KiB at most
  for (std::string& text : texts) parts.push_back({text.data(), text.size()});
  LONGS_EQUAL(64 * 4096, connection.stream().write(parts).bytes);
  LONGS_EQUAL(16, records_in(connection.line.to_client));
  LONGS_EQUAL(4, connection.line.writes);
  std::string all;
  for (const std::string& text : texts) all += text;
  CHECK(connection.client->read() == all);
}

TEST(TlsStream, what_the_stream_below_does_not_take_is_kept_and_told) {
  for (const std::size_t room : {0UL, 1UL, 17UL, 5000UL, 16384UL, 70000UL}) {
    Connection connection;
    connection.open();
    const std::string all = numbered(100'000);
    connection.line.room = room;
    std::size_t done = connection.reader->write(all);
    CHECK(done < all.size());
    connection.stream().watch_writable(true);
    std::string came;
    for (int i = 0; i != 1000 && done != all.size(); ++i) {
      came += connection.client->read();
      connection.line.room = 3000;
      const int told = connection.reader->writable;
      connection.tell_writable();
      if (connection.reader->writable != told) done += connection.reader->write(std::string_view(all).substr(done));
    }
    LONGS_EQUAL(all.size(), done);
    came += connection.client->read();
    CHECK(came == all);
  }
}

TEST(TlsStream, a_single_byte_that_does_not_go_is_not_said_to_have_gone) {
  Connection connection;
  connection.open();
  connection.line.room = 3;
  LONGS_EQUAL(0, connection.reader->write("x"));
  CHECK(connection.reader->last_write == IoOutcome::kWouldBlock);
  connection.line.room = SIZE_MAX;
  connection.stream().watch_writable(true);
  connection.tell_writable();
  LONGS_EQUAL(1, connection.reader->write("x"));
  STRCMP_EQUAL("x", connection.client->read().c_str());
}

TEST(TlsStream, the_end_comes_after_what_was_written_and_is_told_by_tls) {
  Connection connection;
  connection.open();
  connection.line.room = 10;
  LONGS_EQUAL(99, connection.reader->write(numbered(100)));
  connection.stream().finish_writing();
  CHECK_FALSE(connection.line.server_has_finished);
  connection.line.room = SIZE_MAX;
  connection.tell_writable();
  CHECK_TRUE(connection.line.server_has_finished);
  CHECK(connection.client->read() == numbered(100));
  CHECK_TRUE(connection.client->was_told_the_end());
}

TEST(TlsStream, a_stream_that_is_destroyed_tells_the_end) {
  Connection connection;
  connection.open();
  connection.reader.reset();
  connection.client->read();
  CHECK_TRUE(connection.client->was_told_the_end());
}

TEST(TlsStream, the_clients_end_is_read_after_what_it_has_sent) {
  Connection connection;
  connection.open();
  connection.client->write("last words");
  connection.client->close();
  connection.tell_readable();  // there is no event of its own for the end
  STRCMP_EQUAL("last words", connection.reader->text.c_str());
  CHECK(connection.reader->result.outcome == IoOutcome::kEnd);
}

TEST(TlsStream, an_end_without_a_word_of_tls_is_an_end) {
  Connection connection;
  connection.open();
  connection.line.client_has_ended = true;
  connection.tell_readable();
  CHECK(connection.reader->result.outcome == IoOutcome::kEnd);
}

TEST(TlsStream, an_error_below_is_told_as_it_is) {
  Connection connection;
  connection.open();
  connection.line.error = ECONNRESET;
  connection.tell_readable();
  CHECK(connection.reader->result.outcome == IoOutcome::kError);
  LONGS_EQUAL(ECONNRESET, connection.reader->result.error);
  LONGS_EQUAL(0, connection.stream().failure().size());
  LONGS_EQUAL(0, connection.reader->write("x"));
  CHECK(connection.reader->last_write == IoOutcome::kError);
}

TEST(TlsStream, more_than_the_reader_has_room_for_is_unread) {
  Connection connection;
  connection.open();
  connection.reader->room = 1000;
  connection.client->write(numbered(16000));
  std::uint8_t bytes[1000];
  CHECK(connection.stream().read(bytes).outcome == IoOutcome::kDone);
  CHECK_TRUE(connection.stream().has_unread());
  connection.reader->text.assign(reinterpret_cast<char*>(bytes), sizeof bytes);
  connection.reader->on_readable();
  CHECK(connection.reader->text == numbered(16000));
  CHECK_FALSE(connection.stream().has_unread());
}

TEST(TlsStream, moves_to_another_reactor_with_what_is_unread_and_half_written) {
  Connection connection;
  connection.open();
  connection.client->write(numbered(16000));
  std::uint8_t bytes[1000];
  CHECK(connection.stream().read(bytes).outcome == IoOutcome::kDone);
  connection.line.room = 100;
  const std::size_t done = connection.reader->write(numbered(5000));
  LONGS_EQUAL(4999, done);
  CHECK_TRUE(connection.stream().detach());
  CHECK(connection.line.owner == nullptr);

  TlsReactor other;
  Reader reader(std::move(connection.reader->stream));
  CHECK(reader.stream->attach(other, reader).ok());
  CHECK_TRUE(connection.line.watches_output);  // for the rest of the record
  CHECK_TRUE(reader.stream->has_unread());
  reader.text.assign(reinterpret_cast<char*>(bytes), sizeof bytes);
  reader.on_readable();
  CHECK(reader.text == numbered(16000));
  connection.line.room = SIZE_MAX;
  connection.tell_writable();
  LONGS_EQUAL(1, reader.write("x"));  // the byte that was kept back
  CHECK(connection.client->read() == numbered(5000));
  LONGS_EQUAL(3, reader.write("end"));
  STRCMP_EQUAL("end", connection.client->read().c_str());
}

TEST(TlsStream, who_does_not_speak_tls_costs_no_ssl_and_is_told) {
  Connection connection;
  connection.line.to_server = "\x10\x0e";
  connection.tell_readable();
  CHECK(connection.reader->result.outcome == IoOutcome::kError);
  STRCMP_EQUAL("TLS handshake: the client does not speak TLS", std::string(connection.stream().failure()).c_str());
  LONGS_EQUAL(0, connection.reactor.submitted);
}

TEST(TlsStream, a_handshake_that_fails_is_answered_with_an_alert_and_told) {
  ServerOptions options;
  options.alpn = {"mqtt"};
  Connection connection(TLS1_3_VERSION, options);
  SSL_set_alpn_protos(connection.client->ssl(), reinterpret_cast<const unsigned char*>("\x02h2"), 3);
  connection.client->shake_hands();
  connection.tell_readable();
  connection.reactor.work_off();
  CHECK(connection.reader->result.outcome == IoOutcome::kError);
  STRCMP_EQUAL("TLS handshake: no application protocol", std::string(connection.stream().failure()).c_str());
  LONGS_EQUAL(21, connection.line.to_client[0]);  // alert
  LONGS_EQUAL(1, connection.context->counts().failed.load());
}

TEST(TlsStream, a_handshake_without_end_is_cut_off) {
  Connection connection;
  const std::string part = std::string("\x16\x03\x01\x40\x00\x01\x01\xff\xff\x03\x03", 11) + std::string(16373, 'x');
  for (int i = 0; i != 20 && connection.reader->result.outcome != IoOutcome::kError; ++i) {
    connection.line.to_server = i == 0 ? part : part.substr(0, 5) + std::string(16384, 'x');
    connection.tell_readable();
    connection.reactor.work_off();
  }
  CHECK(connection.reader->result.outcome == IoOutcome::kError);
}

TEST(TlsStream, a_client_that_asks_for_new_keys_and_takes_none_is_cut_off) {
  Connection connection;
  connection.open();
  connection.line.room = 0;
  for (int i = 0; i != 20'000 && connection.reader->result.outcome != IoOutcome::kError; ++i) {
    SSL_key_update(connection.client->ssl(), SSL_KEY_UPDATE_REQUESTED);
    connection.client->write("x");
    connection.tell_readable();
  }
  CHECK(connection.reader->result.outcome == IoOutcome::kError);
  STRCMP_EQUAL("TLS: the client asks for more answers than it takes",
               std::string(connection.stream().failure()).c_str());
}

TEST(TlsStream, bytes_that_are_forged_end_the_connection) {
  Connection connection;
  connection.open();
  connection.client->write("hello");
  connection.line.to_server.back() ^= 1;
  connection.tell_readable();
  CHECK(connection.reader->result.outcome == IoOutcome::kError);
  CHECK(connection.reader->text.empty());
  STRCMP_EQUAL("TLS: decryption failed or bad record mac", std::string(connection.stream().failure()).c_str());
}

TEST(TlsStream, is_from_where_the_stream_below_is) {
  Connection connection;
  STRCMP_EQUAL("192.0.2.1:1234", std::string(connection.stream().peer_address()).c_str());
  STRCMP_EQUAL("198.51.100.1:5678", std::string(connection.stream().source_address()).c_str());
  CHECK_FALSE(connection.stream().peer_is_loopback());
  POINTERS_EQUAL(nullptr, connection.stream().peer_identity());
}

// On sockets, with workers that are threads.
TEST_GROUP(ThreadedTlsStream){};

TEST(ThreadedTlsStream, many_handshakes_at_once_on_real_workers) {
  constexpr int kClients = 24;
  Files files;
  files.make("server", "localhost");
  const std::shared_ptr<const ServerContext> context = *ServerContext::load(files.options());
  event::WorkerPool pool(3, 4);  // some of them must wait
  event::testing::TestReactor reactor(nullptr, &pool);
  std::vector<std::unique_ptr<Reader>> readers;
  std::vector<std::thread> clients;
  std::atomic<int> echoes{0};
  for (int i = 0; i != kClients; ++i) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    readers.push_back(
        std::make_unique<Reader>(make_tls_stream(make_socket_stream(AcceptedSocket{ends[0], false}), context)));
    CHECK(readers.back()->stream->attach(*reactor, *readers.back()).ok());
    clients.emplace_back([fd = ends[1], &echoes, i] {
      const ContextPointer own(SSL_CTX_new(TLS_client_method()));
      if (i % 2 == 0) SSL_CTX_set_max_proto_version(own.get(), TLS1_2_VERSION);
      const SslPointer ssl(SSL_new(own.get()));
      SSL_set_fd(ssl.get(), fd);
      char answer[5];
      const bool good = SSL_connect(ssl.get()) == 1 && SSL_write(ssl.get(), "hello", 5) == 5 &&
                        SSL_read(ssl.get(), answer, 5) == 5 && std::string_view(answer, 5) == "there";
      if (good) ++echoes;
      close(fd);
    });
  }
  for (const auto& reader : readers) {
    CHECK_TRUE(reactor.turn_until([&] { return reader->text == "hello"; }));
    LONGS_EQUAL(5, reader->write("there"));
  }
  for (std::thread& client : clients) client.join();
  LONGS_EQUAL(kClients, echoes.load());
  LONGS_EQUAL(kClients, context->counts().done.load());
  readers.clear();
  CHECK_TRUE(pool.stop(std::chrono::seconds(5)));
  reactor.turn_until([] { return true; });
}

}  // namespace mqloop::tls
