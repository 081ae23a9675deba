// The publisher `publisher_fake`: grants every subscription, raises every event, and by itself delivers nothing. With
// `deliver: true` it delivers, through faults that a seed decides: for those who test clients of their own.
#include <memory>
#include <string>
#include <string_view>

#include <mqloop/publisher.h>

#include "plugins/publisher_fake/fake_shard.h"

namespace {

using mqloop::ConfigNode;
using mqloop::PublisherCapabilities;
using mqloop::PublisherShard;
using mqloop::PublishSink;
using mqloop::ReactorApi;
using mqloop::ReasonCode;
using mqloop::Schema;
using mqloop::Status;
using publisher_fake::FakeShard;
using publisher_fake::Options;
using publisher_fake::Post;

struct Reason {
  std::string_view word;
  ReasonCode code;
};

constexpr Reason kReasons[] = {
    {"quota_exceeded", ReasonCode::kQuotaExceeded},
    {"not_authorized", ReasonCode::kNotAuthorized},
    {"unspecified_error", ReasonCode::kUnspecifiedError},
    {"implementation_specific_error", ReasonCode::kImplementationSpecificError},
    {"payload_format_invalid", ReasonCode::kPayloadFormatInvalid},  // PUBACK and PUBREC alone
    {"topic_name_invalid", ReasonCode::kTopicNameInvalid},          // likewise
    {"topic_filter_invalid", ReasonCode::kTopicFilterInvalid},      // SUBACK alone
};

ReasonCode reason_from(const ConfigNode& node) {
  for (const Reason& reason : kReasons) {
    if (reason.word == node.text()) return reason.code;
  }
  return ReasonCode::kUnspecifiedError;
}

class FakePublisher final : public mqloop::PublisherPlugin {
 public:
  void describe(Schema& schema) override {
    schema.boolean("deliver", "false: every message is acknowledged and reaches nobody; what is below needs true");
    schema.integer("seed", "the same seed and the same messages meet the same faults").defaults_to("1").at_least("0");
    Schema& delay = schema.section("delay", "of deliveries and acknowledgements, drawn for each turn of a reactor");
    delay.duration("least", "the shortest").at_most("1h");
    delay.duration("most", "the longest; 0s = none").at_most("1h");
    const auto part = [](Schema& of, const char* name, const char* help) {
      of.number(name, help).defaults_to("0").at_least("0").at_most("1");
    };
    part(schema, "lose", "part of the messages that are acknowledged and reach nobody: 0.01 is one in a hundred");
    part(schema, "duplicate", "part of the messages that are delivered twice, whatever their QoS");
    Schema& fail = schema.section("fail", "what is refused");
    part(fail, "publish", "part of the messages, delivered or not");
    fail.enumeration("publish_reason", "what PUBACK and PUBREC say then",
                     {"quota_exceeded", "not_authorized", "unspecified_error", "implementation_specific_error",
                      "payload_format_invalid", "topic_name_invalid"});
    part(fail, "subscribe", "part of the subscriptions");
    fail.enumeration("subscribe_reason", "what SUBACK says then",
                     {"quota_exceeded", "not_authorized", "unspecified_error", "implementation_specific_error",
                      "topic_filter_invalid"});
  }

  Status configure(const ConfigNode& config) override {
    options_.deliver = config["deliver"].as_bool();
    options_.seed = config["seed"].as_uint();
    options_.delay_least = config["delay"]["least"].as_duration();
    options_.delay_most = config["delay"]["most"].as_duration();
    options_.lose = config["lose"].as_double();
    options_.duplicate = config["duplicate"].as_double();
    options_.fail_publish = config["fail"]["publish"].as_double();
    options_.publish_reason = reason_from(config["fail"]["publish_reason"]);
    options_.fail_subscribe = config["fail"]["subscribe"].as_double();
    options_.subscribe_reason = reason_from(config["fail"]["subscribe_reason"]);
    if (options_.delay_least > options_.delay_most) {
      return config["delay"]["least"].error("delay.least is above delay.most");
    }
    for (const char* fault : {"lose", "duplicate", "delay"}) {
      if (!options_.deliver && !config[fault].is_default() && is_set(config[fault])) {
        return config[fault].error(std::string(fault) + " needs deliver: true, without which nothing arrives");
      }
    }
    return mqloop::ok();
  }

  [[nodiscard]] PublisherCapabilities capabilities() const noexcept override { return {}; }
  Status open(mqloop::Log& /*log*/) override { return mqloop::ok(); }
  std::unique_ptr<PublisherShard> make_shard(ReactorApi& reactor, PublishSink& sink) override {
    return std::make_unique<FakeShard>(options_, post_, reactor, sink);
  }
  void close() noexcept override {}

 private:
  // Whether the option asks for anything.
  static bool is_set(const ConfigNode& node) {
    return node.is_map() ? node["most"].as_duration().count() != 0 : node.as_double() != 0;
  }

  Options options_;
  Post post_;
};

}  // namespace

MQLOOP_PLUGIN(FakePublisher, "publisher_fake", "1.0", "delivers nothing, or through scripted faults: for tests")
