// The plugin's own code, without a broker: the conformance suite and the system tests have it within one.
#include "plugins/publisher_fake/publisher_fake.cc"

#include <algorithm>
#include <string>
#include <vector>

#include "plugins/publisher_fake/fake_shard.cc"
#include "tests/unit/config/config_fixture.h"

#include <CppUTest/TestHarness.h>

namespace {

using namespace mqloop;
using Fate = publisher_fake::Faults::Fate;

std::vector<Fate> fates(const Options& options, int count = 1000, std::uint32_t reactor = 0) {
  publisher_fake::Faults faults(options, reactor);
  std::vector<Fate> result;
  for (int i = 0; i != count; ++i) result.push_back(faults.of_message());
  return result;
}

int count(const std::vector<Fate>& all, Fate one) { return static_cast<int>(std::count(all.begin(), all.end(), one)); }

std::string configured(const std::string& yaml) {
  FakePublisher plugin;
  Schema schema;
  plugin.describe(schema);
  config::CheckedText checked(schema, yaml);
  if (!checked.errors().empty()) return checked.errors();
  return std::string(plugin.configure(checked.root()).message());
}

}  // namespace

TEST_GROUP(PublisherFake) {
  Options options = [] {
    Options all;
    all.deliver = true;
    all.lose = 0.1;
    all.duplicate = 0.2;
    all.fail_publish = 0.05;
    all.fail_subscribe = 0.3;
    return all;
  }();
};

TEST(PublisherFake, the_same_seed_has_the_same_faults_and_another_has_others) {
  CHECK(fates(options) == fates(options));
  const std::vector<Fate> before = fates(options);
  CHECK(before != fates(options, 1000, 1));
  options.seed = 2;
  CHECK(before != fates(options));
}

TEST(PublisherFake, faults_are_as_frequent_as_the_options_say) {
  const std::vector<Fate> all = fates(options, 20'000);
  const auto about = [&](double part, Fate fate) { DOUBLES_EQUAL(part, count(all, fate) / 20'000.0, 0.01); };
  about(0.05, Fate::kRefused);
  about(0.95 * 0.1, Fate::kLost);
  about(0.95 * 0.9 * 0.2, Fate::kArrivesTwice);
  about(0.95 * 0.9 * 0.8, Fate::kArrives);
}

TEST(PublisherFake, nothing_happens_that_was_not_asked_for) {
  options = {};
  options.deliver = true;
  LONGS_EQUAL(1000, count(fates(options), Fate::kArrives));
  options.lose = 1;
  LONGS_EQUAL(1000, count(fates(options), Fate::kLost));
  options = {};
  LONGS_EQUAL(1000, count(fates(options), Fate::kLost));
}

TEST(PublisherFake, one_option_changed_leaves_the_fate_of_the_others_as_it_was) {
  const std::vector<Fate> before = fates(options);
  options.duplicate = 0;
  const std::vector<Fate> after = fates(options);
  for (std::size_t i = 0; i != before.size(); ++i) {
    CHECK((before[i] == Fate::kArrivesTwice ? Fate::kArrives : before[i]) == after[i]);
  }
}

TEST(PublisherFake, subscriptions_and_delays_draw_nothing_from_what_messages_draw_from) {
  publisher_fake::Faults faults(options, 0);
  int refused = 0;
  for (const Fate fate : fates(options)) {
    refused += faults.refuses_subscription() ? 1 : 0;
    (void)faults.delay();
    CHECK(fate == faults.of_message());
  }
  DOUBLES_EQUAL(0.3, refused / 1000.0, 0.05);
}

TEST(PublisherFake, delays_lie_between_the_least_and_the_most_and_reach_both) {
  options.delay_least = std::chrono::milliseconds(10);
  options.delay_most = std::chrono::milliseconds(13);
  publisher_fake::Faults faults(options, 0);
  int seen[4] = {};
  for (int i = 0; i != 1000; ++i) {
    const auto delay = faults.delay().count();
    CHECK(delay >= 10 && delay <= 13);
    ++seen[delay - 10];
  }
  for (const int times : seen) CHECK(times > 100);
}

TEST(PublisherFake, a_configuration_that_contradicts_itself_is_refused) {
  STRCMP_EQUAL("", configured("{}").c_str());
  STRCMP_EQUAL("", configured("{deliver: true, seed: 7, delay: {least: 10ms, most: 200ms}, lose: 0.01}").c_str());
  STRCMP_EQUAL("", configured("{fail: {publish: 1}}").c_str());
  STRCMP_EQUAL("t.yaml:1:32: delay.least is above delay.most",
               configured("{deliver: true, delay: {least: 2s, most: 1s}}").c_str());
  STRCMP_EQUAL("t.yaml:1:8: lose needs deliver: true, without which nothing arrives",
               configured("{lose: 0.5}").c_str());
  STRCMP_EQUAL("t.yaml:1:9: delay needs deliver: true, without which nothing arrives",
               configured("{delay: {most: 1s}}").c_str());
  STRCMP_EQUAL("t.yaml:1:23: lose: 1.5 is above the maximum 1\n", configured("{deliver: true, lose: 1.5}").c_str());
}
