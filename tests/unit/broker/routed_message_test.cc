// What a RoutedMessage keeps of the message that it shows.
#include "core/broker/routed_message.h"

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using namespace mqloop::broker;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TEST_GROUP(RoutedMessage) {
  static constexpr std::string_view kProperties{
      "\x01\x01\x09\x00\x02"
      "ab",
      7};  // text, Correlation Data

  Ref<const Message> made() {
    Message::Content content;
    content.topic = "a/b";
    content.payload = bytes_of("payload");
    content.properties = bytes_of(kProperties);
    content.qos = QoS::kAtLeastOnce;
    content.retain = true;
    content.expires_at = MonotonicTime{} + std::chrono::hours(1);
    content.publisher = 17;
    Principal::Content who;
    who.client_id = "p";
    content.principal = Principal::create(who);
    return Message::create(content);
  }

  void same(const Message& one, const Message& other) {
    CHECK(one.topic() == other.topic());
    CHECK(std::vector(one.payload().begin(), one.payload().end()) ==
          std::vector(other.payload().begin(), other.payload().end()));
    CHECK(std::vector(one.properties().begin(), one.properties().end()) ==
          std::vector(other.properties().begin(), other.properties().end()));
    CHECK(one.qos() == other.qos());
    CHECK(one.retain() == other.retain());
    CHECK(one.expires_at() == other.expires_at());
    CHECK(one.publisher() == other.publisher());
    POINTERS_EQUAL(one.principal().get(), other.principal().get());
  }
};

TEST(RoutedMessage, a_message_that_exists_is_kept_itself) {
  const Ref<const Message> original = made();
  RoutedMessage routed(original);
  POINTERS_EQUAL(original.get(), routed.message().get());
}

TEST(RoutedMessage, of_what_one_shows_an_equal_one_is_kept) {
  const Ref<const Message> original = made();
  RoutedMessage routed({original->topic(), original->payload(), original->properties(), original->qos(),
                        original->retain(), original->expires_at(), original->publisher(), original->principal()});
  const Ref<const Message> kept = routed.message();
  CHECK(original.get() != kept.get());
  same(*original, *kept);
  POINTERS_EQUAL(kept.get(), routed.message().get());
}
