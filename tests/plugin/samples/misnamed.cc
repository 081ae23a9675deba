// Calls itself something else than its file is called.
#include <mqloop/plugin.h>

namespace {

struct Nobody final : mqloop::AuthenticatorPlugin {
  void authenticate(const mqloop::ConnectRequest& /*request*/, mqloop::AuthReply reply) const override { reply.pass(); }
};

}  // namespace

MQLOOP_PLUGIN(Nobody, "somebody_else", "1.0", "lets nobody in and keeps nobody out")
