// The publisher `publisher_memory`: nothing outlives the broker and nothing comes from elsewhere, so there is nothing
// to decide. It declares itself a passthrough and is never asked again.
#include <memory>

#include <mqloop/publisher.h>

namespace {

using namespace mqloop;

class MemoryPublisher final : public PublisherPlugin {
 public:
  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override {
    PublisherCapabilities capabilities;
    capabilities.passthrough = true;
    return capabilities;
  }
  Status open(Log& /*log*/) override { return ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& /*reactor*/, PublishSink& /*sink*/) override {
    return nullptr;
  }
  void close() noexcept override {}
};

}  // namespace

MQLOOP_PLUGIN(MemoryPublisher, "publisher_memory", "1.0", "keeps messages in memory, for this broker alone")
