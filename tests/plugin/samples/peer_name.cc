// Lets in whom the transport knows, under that name: the user at the other end of a Unix socket, or the Common Name of
// a certificate that a proxy found good. Others are told what is known of them instead.
#include <string>

#include <mqloop/peer_identity.h>
#include <mqloop/plugin.h>

namespace {

class PeerName final : public mqloop::AuthenticatorPlugin {
 public:
  void authenticate(const mqloop::ConnectRequest& request, mqloop::AuthReply reply) const override {
    const mqloop::PeerIdentity* peer = request.peer;
    const auto refuse = [&reply](const std::string& why) { reply.reject(mqloop::ReasonCode::kNotAuthorized, why); };
    if (peer == nullptr) return refuse("nobody is known");
    if (peer->process) return reply.accept(peer->process->user_name);
    if (!peer->certificate) return refuse("no certificate");
    if (!peer->certificate->is_verified) return refuse("a bad certificate of " + peer->certificate->common_name);
    reply.accept(peer->certificate->common_name);
  }
};

}  // namespace

MQLOOP_PLUGIN(PeerName, "peer_name", "1.0", "lets in whom the transport knows")
