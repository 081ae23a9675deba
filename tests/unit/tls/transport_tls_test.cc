// The plugin itself, linked in.
#define MQLOOP_BUILTIN
#include "plugins/transport_tls/transport_tls.cc"

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

#include "core/event/worker_pool.h"
#include "tests/unit/config/config_fixture.h"
#include "tests/unit/event/support.h"
#include "tests/unit/tls/tls_fixture.h"

namespace mqloop {

namespace {

using tls::testing::Files;

struct Made {
  explicit Made(std::string_view item) {
    schema.string("name", "the listener's name");
    transport.describe_listener(schema);
    checked = std::make_unique<config::CheckedText>(schema, item);
    if (!checked->errors().empty()) {
      complaint = checked->errors();
      return;
    }
    auto result = transport.make_listener(checked->root());
    complaint = std::string(result.status().message());
    if (result.ok()) listener = std::move(*result);
  }
  TlsTransport transport;
  Schema schema;
  std::unique_ptr<config::CheckedText> checked;
  std::string complaint;
  std::unique_ptr<TransportListener> listener;
};

std::string complaint(const std::string& item) { return Made(item).complaint; }

struct Noted final : Figures {
  void figure(std::string_view name, std::uint64_t value) override { values.emplace(name, value); }
  std::map<std::string, std::uint64_t, std::less<>> values;
};

}  // namespace

TEST_GROUP(TransportTls) {
  void setup() override { files.make("server", "localhost"); }
  std::string pair() const { return "cert: " + files.path("server.pem") + ", key: " + files.path("server.key"); }
  Files files;
};

TEST(TransportTls, listens_on_the_loopback_and_the_port_of_mqtts_by_default) {
  Made made("{name: a, tls: {" + pair() + "}}");
  STRCMP_EQUAL("", made.complaint.c_str());
  const Endpoint bind = made.checked->root()["bind"].as_endpoint();
  STRCMP_EQUAL("127.0.0.1", bind.host.c_str());
  LONGS_EQUAL(8883, bind.port);
}

TEST(TransportTls, needs_a_certificate_and_its_key) {
  STRCMP_CONTAINS("tls: needs cert and key", complaint("{name: a}").c_str());
  STRCMP_CONTAINS("t.yaml:1:23: cert: its private key is missing", complaint("{name: a, tls: {cert: x}}").c_str());
}

TEST(TransportTls, a_file_that_is_not_there_is_named_with_its_place) {
  STRCMP_CONTAINS(": cannot read \"/nowhere/a.pem\": No such file or directory",
                  complaint("{name: a, tls: {cert: /nowhere/a.pem, key: /nowhere/a.key}}").c_str());
}

TEST(TransportTls, a_key_of_another_certificate_is_refused) {
  files.make("other", "localhost");
  STRCMP_CONTAINS("is not the key of the certificate", complaint("{name: a, tls: {cert: " + files.path("server.pem") +
                                                                 ", key: " + files.path("other.key") + "}}")
                                                           .c_str());
}

TEST(TransportTls, what_verifies_clients_fits_together) {
  const auto with = [this](const std::string& more) {
    return complaint("{name: a, tls: {" + pair() + ", " + more + "}}");
  };
  const std::string root = files.path("server.pem");
  STRCMP_EQUAL("", with("verify_client: required, client_ca: " + root).c_str());
  STRCMP_CONTAINS("verify_client: needs client_ca", with("verify_client: optional").c_str());
  STRCMP_CONTAINS("client_ca: clients are not asked", with("client_ca: " + root).c_str());
  STRCMP_CONTAINS("psk_file: who has a key shows no certificate",
                  with("verify_client: required, psk_file: k, client_ca: " + root).c_str());
  STRCMP_CONTAINS("alpn: a protocol's name has 1 to 255 bytes", with("alpn: [\"\"]").c_str());
  STRCMP_CONTAINS("watch_files", with("watch_files: 1ms").c_str());
}

TEST(TransportTls, reads_files_again_when_they_have_changed_and_keeps_what_it_has_when_they_are_broken) {
  Made made("{name: a, bind: \"127.0.0.1:0\", tls: {watch_files: 100ms, " + pair() + "}}");
  STRCMP_EQUAL("", made.complaint.c_str());
  struct Sink final : StreamSink {
    void accepted(std::unique_ptr<Stream> /*stream*/) noexcept override {}
  } sink;
  event::WorkerPool pool(1, 10);
  event::testing::TestReactor reactor(nullptr, &pool);
  CHECK(made.listener->open().ok());
  CHECK(made.listener->start(*reactor, sink).ok());
  const auto reads = [&] {
    Noted noted;
    made.listener->report(noted);
    return noted.values["tls/reads"];
  };
  const auto has_line = [&](std::string_view part) {
    for (const std::string& line : reactor.log.lines()) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  };
  LONGS_EQUAL(1, reads());
  files.write("server.key", "no key");
  CHECK_TRUE(reactor.turn_until([&] { return has_line("changed files cannot be used"); }));
  LONGS_EQUAL(1, reads());
  files.make("server", "localhost");
  CHECK_TRUE(reactor.turn_until([&] { return reads() == 2; }));
  Made again("{name: a, bind: \"127.0.0.1:0\", tls: {watch_files: 100ms, " + pair() + "}}");
  made.listener->renew(*again.listener);
  LONGS_EQUAL(3, reads());
  Noted noted;
  made.listener->report(noted);
  const std::uint64_t left = noted.values["tls/certificate_expires"];
  CHECK(left > 86400 * 89 && left <= 86400 * 90);
  made.listener->stop();
  CHECK_TRUE(pool.stop(std::chrono::seconds(5)));
  reactor.turn_until([] { return true; });
}

}  // namespace mqloop
