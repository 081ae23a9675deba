// The plugin itself, linked in.
#define MQLOOP_BUILTIN
#include "plugins/auth_tls/auth_tls.cc"

#include <CppUTest/TestHarness.h>

#include <mqloop/testing/plugin_harness.h>

namespace mqloop {

namespace {

using testing::AuthAnswer;
using testing::AuthResult;
using testing::PluginHarness;

PeerIdentity shown(bool is_verified = true) {
  PeerIdentity peer;
  PeerCertificate& certificate = peer.certificate.emplace();
  certificate.is_verified = is_verified;
  certificate.common_name = "sensor7";
  certificate.subject = "CN=sensor7,O=Example";
  certificate.dns_names = {"one.example", "two.example"};
  return peer;
}

// The user name, "pass", or why not.
std::string answer(const char* yaml, const PeerIdentity* peer, std::optional<std::string> user_name = {}) {
  PluginHarness plugin(mqloop_builtin_AuthTls);
  const Status status = plugin.configure(yaml);
  if (!status.ok()) return std::string(status.message());
  const AuthAnswer got = plugin.authenticate({.user_name = std::move(user_name), .peer = peer});
  if (got.result == AuthResult::kPassed) return "pass";
  return got.result == AuthResult::kAccepted ? got.user_name : "refused: " + got.log_reason;
}

std::string answer(const char* yaml, const PeerIdentity& peer) { return answer(yaml, &peer); }

}  // namespace

TEST_GROUP(AuthTls){};

TEST(AuthTls, takes_the_common_name_by_default) { STRCMP_EQUAL("sensor7", answer("", shown()).c_str()); }

TEST(AuthTls, takes_the_first_name_that_there_is) {
  STRCMP_EQUAL("one.example", answer("name_from: [email, dns, common_name]", shown()).c_str());
  STRCMP_EQUAL("CN=sensor7,O=Example", answer("name_from: [subject]", shown()).c_str());
  STRCMP_EQUAL("pass", answer("name_from: [uri]", shown()).c_str());
}

TEST(AuthTls, believes_no_certificate_that_was_not_verified) {
  STRCMP_EQUAL("pass", answer("", shown(false)).c_str());
  STRCMP_EQUAL("refused: neither certificate nor key has a name", answer("otherwise: reject", shown(false)).c_str());
}

TEST(AuthTls, has_no_opinion_on_who_shows_nothing) {
  STRCMP_EQUAL("pass", answer("", nullptr).c_str());
  STRCMP_EQUAL("pass", answer("", PeerIdentity()).c_str());
  STRCMP_EQUAL("refused: neither certificate nor key has a name", answer("otherwise: reject", nullptr).c_str());
}

TEST(AuthTls, takes_the_identity_of_a_shared_key_where_it_is_asked_for) {
  PeerIdentity peer;
  peer.psk_identity = "sensor8";
  STRCMP_EQUAL("sensor8", answer("name_from: [common_name, psk]", peer).c_str());
  STRCMP_EQUAL("pass", answer("", peer).c_str());
}

TEST(AuthTls, a_list_of_users_is_all_that_there_are) {
  STRCMP_EQUAL("bob", answer("users: {sensor7: bob}", shown()).c_str());
  STRCMP_EQUAL("pass", answer("users: {sensor8: bob}", shown()).c_str());
  STRCMP_EQUAL("t:bob", answer("{prefix: \"t:\", users: {sensor7: bob}}", shown()).c_str());
  STRCMP_CONTAINS("users: 'sensor7' has no user name", answer("users: {sensor7: \"\"}", shown()).c_str());
}

TEST(AuthTls, another_user_name_than_the_certificates_may_be_refused) {
  const PeerIdentity peer = shown();
  STRCMP_EQUAL("sensor7", answer("", &peer, "eve").c_str());
  STRCMP_EQUAL("refused: the certificate is that of sensor7", answer("same_user_name: true", &peer, "eve").c_str());
  STRCMP_EQUAL("sensor7", answer("same_user_name: true", &peer, "sensor7").c_str());
  STRCMP_EQUAL("sensor7", answer("same_user_name: true", &peer).c_str());
}

}  // namespace mqloop
