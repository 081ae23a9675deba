// What a question to acl_file costs: ns for a topic that is allowed and one that is not, and for a subscription, with
// few and with many users, rules and patterns. Run it alone on a quiet machine.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "plugins/acl_file/acl_text.cc"
#include "plugins/acl_file/policy.cc"
#include "plugins/acl_file/rule_set.cc"

namespace {

using namespace mqloop::acl;

double cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Ask>
double ns_each(Ask&& ask) {
  constexpr unsigned kCalls = 200'000;
  const double start = cpu_ns();
  for (unsigned i = 0; i != kCalls; ++i) ask(i);
  return (cpu_ns() - start) / kCalls;
}

void expect(bool holds) {
  if (holds) return;
  std::fprintf(stderr, "acl_bench: a wrong answer\n");
  std::exit(1);
}

void measure(const char* what, unsigned users, unsigned rules, unsigned patterns) {
  std::string text;
  for (unsigned i = 0; i != patterns; ++i) text += "pattern read in/" + std::to_string(i) + "/%c/%u\n";
  for (unsigned user = 0; user != users; ++user) {
    text += "user user" + std::to_string(user) + '\n';
    for (unsigned i = 0; i != rules; ++i) text += "topic read site/" + std::to_string(i) + "/+/state\n";
  }
  const double begin = cpu_ns();
  const Policy policy(text);
  const double load = (cpu_ns() - begin) / 1e6;
  expect(policy.mistakes().empty());

  std::vector<std::string> names;
  std::vector<std::string> topics;
  std::vector<std::string> others;
  for (unsigned i = 0; i != 1024; ++i) {
    names.push_back("user" + std::to_string(static_cast<unsigned long>(i) * 7919 % users));
    topics.push_back("site/" + std::to_string(static_cast<unsigned long>(i) * 104729 % rules) + "/device/state");
    others.push_back("site/" + std::to_string(i) + "/device/other");
  }
  const auto ask = [&](const std::vector<std::string>& of, bool allowed) {
    return ns_each([&](unsigned i) {
      const Client client{"client", names[i % 1024]};
      expect((policy.on_topic(kRead, of[i * 31 % 1024], true, client).answer == Answer::kAllow) == allowed);
    });
  };
  const double yes = ask(topics, true);
  const double no = ask(others, false);
  const double filter = ns_each([&](unsigned i) {
    const Client client{"client", names[i % 1024]};
    expect(policy.on_filter("site/0/+/state", true, client).answer == Answer::kAllow);
  });
  std::printf("%-44s %9.0f %9.0f %9.0f %10.1f\n", what, yes, no, filter, load);
}

}  // namespace

int main() {
  std::printf("%-44s %9s %9s %9s %10s\n", "", "allow ns", "deny ns", "filter ns", "load ms");
  measure("1 user, 3 rules, 2 patterns", 1, 3, 2);
  measure("1 user, 16 rules, 16 patterns", 1, 16, 16);
  measure("100,000 users, 3 rules each, 2 patterns", 100'000, 3, 2);
  measure("1 user, 100,000 rules, 2 patterns", 1, 100'000, 2);
  measure("1 user, 3 rules, 10,000 patterns", 1, 3, 10'000);
}
