// The plugin itself, linked in.
#define MQLOOP_BUILTIN
#include "plugins/auth_file/auth_file.cc"

#include <optional>
#include <string>

#include <mqloop/testing/plugin_harness.h>

#include "tests/unit/password/mosquitto_lines.h"
#include "tests/unit/plugin/plugin_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::testing;

TEST_GROUP(AuthFile) {
  plugin_test::Folder folder;
  PluginHarness plugin{mqloop_builtin_AuthFile};

  std::string file() { return folder.path() + "/users.pw"; }
  Status configure(const std::string& more = "") { return plugin.configure("file: " + file() + "\n" + more); }
  void has_mosquittos_users() {
    std::string text;
    for (const auto& line : password_test::kMosquittoLines) {
      text += std::string(line.name) + ':' + std::string(line.hash) + '\n';
    }
    folder.write("users.pw", text);
    CHECK(configure().ok());
  }
  AuthAnswer connect(std::optional<std::string> user, std::optional<std::string> password,
                     ProtocolVersion version = ProtocolVersion::kV5) {
    return plugin.authenticate({.user_name = std::move(user), .password = std::move(password), .version = version});
  }
};

TEST(AuthFile, right_password_is_in_under_the_name_that_was_given) {
  has_mosquittos_users();
  for (const auto& line : password_test::kMosquittoLines) {
    const AuthAnswer answer = connect(std::string(line.name), std::string(line.password));
    CHECK(answer.result == AuthResult::kAccepted);
    STRCMP_EQUAL(std::string(line.name).c_str(), answer.user_name.c_str());
  }
}

TEST(AuthFile, wrong_password_and_unknown_user_are_one_to_the_client_and_two_to_the_log) {
  has_mosquittos_users();
  const AuthAnswer wrong = connect("bob", "canary");
  const AuthAnswer unknown = connect("nobody", "canary");
  for (const AuthAnswer* answer : {&wrong, &unknown}) {
    CHECK(answer->result == AuthResult::kRejected);
    CHECK(answer->code == ReasonCode::kBadUserNameOrPassword);
    STRCMP_EQUAL("bad user name or password", answer->reason.c_str());
  }
  STRCMP_EQUAL("bad_password", wrong.log_reason.c_str());
  STRCMP_EQUAL("unknown_user", unknown.log_reason.c_str());
}

TEST(AuthFile, cve_2016_9877_user_name_and_password_absent_empty_and_right_in_every_version) {
  has_mosquittos_users();
  const std::optional<std::string> absent;
  struct {
    std::optional<std::string> user, password;
    AuthResult result;
  } const rows[] = {
      {absent, absent, AuthResult::kPassed},     {absent, "", AuthResult::kPassed},
      {absent, "hunter2", AuthResult::kPassed},  {"", absent, AuthResult::kRejected},
      {"", "", AuthResult::kRejected},           {"", "hunter2", AuthResult::kRejected},
      {"bob", absent, AuthResult::kRejected},    {"bob", "", AuthResult::kRejected},
      {"bob", "hunter2", AuthResult::kAccepted}, {"nobody", absent, AuthResult::kRejected},
      {"nobody", "", AuthResult::kRejected},     {"nobody", "hunter2", AuthResult::kRejected},
  };
  for (const ProtocolVersion version : {ProtocolVersion::kV31, ProtocolVersion::kV311, ProtocolVersion::kV5}) {
    for (const auto& row : rows) CHECK(connect(row.user, row.password, version).result == row.result);
  }
}

TEST(AuthFile, absent_password_is_answered_alike_for_everybody) {
  has_mosquittos_users();
  for (const char* user : {"bob", "nobody", ""}) {
    const AuthAnswer answer = connect(user, std::nullopt);
    CHECK(answer.code == ReasonCode::kBadUserNameOrPassword);
    STRCMP_EQUAL("bad user name or password", answer.reason.c_str());
    STRCMP_EQUAL("no_password", answer.log_reason.c_str());
  }
}

TEST(AuthFile, missing_file_says_how_to_create_it) {
  const std::string expected = "config:1:7: users.pw: no such file (looked in " + folder.path() +
                               "); create it: mqloop passwd -c " + file() + " NAME";
  STRCMP_EQUAL(expected.c_str(), std::string(configure().message()).c_str());
  CHECK(configure().code() == StatusCode::kNotFound);
}

TEST(AuthFile, bad_lines_are_told_with_their_places_and_nothing_is_loaded) {
  folder.write("users.pw", "bob:$6$*$AAAA\n\neve\n");
  const std::string expected =
      file() + ":1:8: user 'bob': the salt is not base64\n" + file() + ":3:4: a line is NAME:HASH, and here is no ':'";
  STRCMP_EQUAL(expected.c_str(), std::string(configure().message()).c_str());
}

TEST(AuthFile, options_are_held_to_their_bounds) {
  folder.write("users.pw", "");
  CHECK(plugin.configure("").message() == "config:1:1: file is missing");
  CHECK(configure("cache_ttl: 0s\ncache_entries: 0\nmax_waiting: 1\nmax_wait: 1ms\n").ok());
  CHECK(configure("cache_ttl: infinite\n").ok());
  for (const char* wrong : {"cache_ttl: 60", "cache_entries: -1", "max_waiting: 0", "max_wait: 0s", "cache: 1"}) {
    CHECK(!configure(wrong).ok());
  }
}

TEST(AuthFile, empty_file_lets_nobody_in) {
  folder.write("users.pw", "");
  CHECK(configure().ok());
  CHECK(connect("bob", "").result == AuthResult::kRejected);
  CHECK(connect(std::nullopt, std::nullopt).result == AuthResult::kPassed);
}

TEST(AuthFile, file_is_read_again_when_it_is_configured_again) {
  has_mosquittos_users();
  CHECK(connect("bob", "hunter2").result == AuthResult::kAccepted);
  folder.write("users.pw", "");
  CHECK(configure().ok());
  CHECK(connect("bob", "hunter2").result == AuthResult::kRejected);
}
