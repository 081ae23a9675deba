#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

// As in a build that was configured with --enable-failpoints.
#ifndef MQLOOP_FAILPOINTS
#define MQLOOP_FAILPOINTS
#endif
#include "core/base/failpoint.h"

#include <CppUTest/TestHarness.h>

namespace {

// Comes to `first` and then to `second`, `times` times.
void walk(int times) {
  for (int i = 0; i != times; ++i) {
    MQLOOP_FAILPOINT("first");
    MQLOOP_FAILPOINT("second");
  }
  MQLOOP_FAILPOINT("first");
}

constexpr int kOk = 0;

}  // namespace

TEST_GROUP(Failpoint){
    // How a process ends that walks so, by a status as of waitpid(). It runs apart: the environment is read once.
    int end_of_walk(const char* order, int times){const pid_t child = ::fork();
if (child == 0) {
  if (order == nullptr) {
    ::unsetenv("MQLOOP_FAILPOINT");
  } else {
    ::setenv("MQLOOP_FAILPOINT", order, 1);
  }
  walk(times);
  ::_exit(kOk);
}
int status = -1;
LONGS_EQUAL(child, ::waitpid(child, &status, 0));
return status;
}

void is_killed(const char* order, int times) {
  const int status = end_of_walk(order, times);
  CHECK(WIFSIGNALED(status));
  LONGS_EQUAL(SIGKILL, WTERMSIG(status));
}

void ends_by_itself(const char* order, int times) {
  const int status = end_of_walk(order, times);
  CHECK(WIFEXITED(status));
  LONGS_EQUAL(kOk, WEXITSTATUS(status));
}
}
;

TEST(Failpoint, kills_at_the_passage_that_is_named) {
  is_killed("second:3", 3);
  ends_by_itself("second:3", 2);
}

TEST(Failpoint, kills_at_the_first_passage_when_none_is_named) {
  is_killed("second", 1);
  ends_by_itself("second", 0);
}

TEST(Failpoint, counts_all_places_of_a_name_together) {
  is_killed("first:3", 2);
  ends_by_itself("first:4", 2);
}

TEST(Failpoint, does_nothing_without_an_order_or_with_another_name) {
  ends_by_itself(nullptr, 3);
  ends_by_itself("third", 3);
  ends_by_itself("sec", 3);
}

TEST(Failpoint, takes_no_order_that_it_does_not_understand) {
  for (const char* order : {"first:", "first:x", "first:2x", "first:-1"}) {
    const int status = end_of_walk(order, 0);
    CHECK(WIFSIGNALED(status));
    LONGS_EQUAL(SIGABRT, WTERMSIG(status));
  }
}
