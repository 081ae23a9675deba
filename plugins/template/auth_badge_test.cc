// Runs the plugin without a broker. `make check` builds this with the plugin's source and runs it; every *_test.cc
// beside it is another such program, and any test framework will do.
#include <cstdio>
#include <string>

#include <mqloop/testing/plugin_harness.h>

using namespace mqloop;
using namespace mqloop::testing;

extern "C" const mqloop_plugin_block* mqloop_builtin_AuthBadge();

namespace {

int passed = 0;
int failed = 0;

void expect(bool holds, const char* what) {
  if (!holds) std::printf("FAILED: %s\n", what);
  ++(holds ? passed : failed);
}

}  // namespace

int main() {
  PluginHarness plugin(mqloop_builtin_AuthBadge);

  expect(plugin.configure("").message() == "config:1:1: badges is missing", "there must be badges");
  expect(plugin.configure("badges: {sensor7: sensor7}").message() ==
             "config:1:19: a client identifier is no secret: choose another badge code",
         "a badge code cannot be guessed");

  expect(plugin.configure("badges: {sensor7: s3cret}").ok(), "the options are right");
  const AuthAnswer right = plugin.authenticate({.client_id = "sensor7", .password = "s3cret"});
  expect(right.result == AuthResult::kAccepted, "the right badge lets the client in");
  expect(right.user_name == "sensor7", "a client's user name is what its badge says");
  const AuthAnswer wrong = plugin.authenticate({.client_id = "sensor7", .password = "guess"});
  expect(wrong.result == AuthResult::kRejected, "a wrong badge is refused");
  expect(wrong.code == ReasonCode::kBadUserNameOrPassword, "a wrong badge is refused with 0x86");
  expect(plugin.authenticate({.client_id = "sensor7"}).result == AuthResult::kRejected, "no badge is a wrong badge");
  expect(plugin.authenticate({.client_id = "stranger", .password = "s3cret"}).result == AuthResult::kPassed,
         "a client without a badge is left to the next plugin");

  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
