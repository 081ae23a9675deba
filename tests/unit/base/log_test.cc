#include "core/base/log.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <CppUTest/TestHarness.h>

namespace mqloop {
namespace {

class FixedClock : public Clock {
 public:
  MonotonicTime now() const noexcept override { return {}; }
  WallTime wall_now() const noexcept override { return WallTime(std::chrono::milliseconds(millis)); }
  std::int64_t millis = 1'700'000'000'042;  // 2023-11-14T22:13:20.042 UTC
};

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_GROUP(StreamLog) {
  FixedClock clock;
  std::string folder;
  std::string path;

  void setup() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    char name[] = "/tmp/mqloop-log-XXXXXX";
    folder = ::mkdtemp(name);
    path = folder + "/mqloop.log";
  }
  void teardown() override {
    ::unlink(path.c_str());
    ::unlink((path + ".1").c_str());
    ::rmdir(folder.c_str());
    ::unsetenv("TZ");
    ::tzset();
  }

  std::unique_ptr<StreamLog> open(LogFormat format = LogFormat::kText) {
    StreamLog::Options options;
    options.format = format;
    auto log = StreamLog::open(clock, path, options);
    CHECK(log.ok());
    return std::move(log.value());
  }
  // What a line with this value looks like after `v=`.
  std::string written(std::string_view value) {
    open()->write(LogLevel::kInfo, "m", "e", {{"v", value}});
    std::string text = read_file(path);
    ::unlink(path.c_str());
    const std::string head = "2023-11-14T22:13:20.042+00:00 info m e v=";
    STRCMP_EQUAL(head.c_str(), text.substr(0, head.size()).c_str());
    return text.substr(head.size(), text.size() - head.size() - 1);
  }
  std::string written_json(std::string_view value) {
    open(LogFormat::kJson)->write(LogLevel::kInfo, "m", "e", {{"v", value}});
    std::string text = read_file(path);
    ::unlink(path.c_str());
    const std::string head = R"({"time":"2023-11-14T22:13:20.042+00:00","level":"info","module":"m","event":"e","v":)";
    STRCMP_EQUAL(head.c_str(), text.substr(0, head.size()).c_str());
    return text.substr(head.size(), text.size() - head.size() - 2);
  }
};

TEST(StreamLog, a_text_line_is_time_level_module_event_and_fields) {
  open()->write(LogLevel::kWarn, "auth", "refused", {{"client", "sensor7"}, {"by", "users"}});
  STRCMP_EQUAL("2023-11-14T22:13:20.042+00:00 warn auth refused client=sensor7 by=users\n", read_file(path).c_str());
}

TEST(StreamLog, a_json_line_is_one_object) {
  open(LogFormat::kJson)->write(LogLevel::kError, "auth", "refused", {{"client", "sensor7"}});
  STRCMP_EQUAL(
      "{\"time\":\"2023-11-14T22:13:20.042+00:00\",\"level\":\"error\",\"module\":\"auth\",\"event\":\"refused\","
      "\"client\":\"sensor7\"}\n",
      read_file(path).c_str());
}

TEST(StreamLog, the_time_carries_the_local_zone) {
  ::setenv("TZ", "IST-5:30", 1);
  ::tzset();
  open()->write(LogLevel::kInfo, "m", "e");
  STRCMP_EQUAL("2023-11-15T03:43:20.042+05:30 info m e\n", read_file(path).c_str());
}

TEST(StreamLog, the_time_follows_the_clock_within_and_across_seconds) {
  auto log = open();
  log->write(LogLevel::kInfo, "m", "a");
  clock.millis += 900;
  log->write(LogLevel::kInfo, "m", "b");
  clock.millis += 100;
  log->write(LogLevel::kInfo, "m", "c");
  STRCMP_EQUAL(
      "2023-11-14T22:13:20.042+00:00 info m a\n2023-11-14T22:13:20.942+00:00 info m b\n"
      "2023-11-14T22:13:21.042+00:00 info m c\n",
      read_file(path).c_str());
}

TEST(StreamLog, plain_values_stand_bare_and_others_are_quoted) {
  STRCMP_EQUAL("a/b-c:1", written("a/b-c:1").c_str());
  STRCMP_EQUAL("\"\"", written("").c_str());
  STRCMP_EQUAL("\"two words\"", written("two words").c_str());
  STRCMP_EQUAL("\"a=b\"", written("a=b").c_str());
  STRCMP_EQUAL("\"say \\\"hi\\\"\"", written("say \"hi\"").c_str());
  STRCMP_EQUAL("\"back\\\\slash\"", written("back\\slash").c_str());
}

TEST(StreamLog, a_value_cannot_start_a_line_of_its_own) {
  STRCMP_EQUAL("\"x\\n2023 error forged\\r\"", written("x\n2023 error forged\r").c_str());
}

TEST(StreamLog, control_bytes_never_reach_a_terminal) {
  STRCMP_EQUAL("\"\\u001b[2J\\u0007\\u0000\\u007f\"", written(std::string_view("\x1b[2J\x07\0\x7f", 7)).c_str());
  STRCMP_EQUAL("\"\\u009b2J\"", written("\xc2\x9b"
                                        "2J")
                                    .c_str());
  STRCMP_EQUAL("\"\\u001b\"", written_json("\x1b").c_str());
}

TEST(StreamLog, marks_that_turn_the_text_round_are_shown) {
  STRCMP_EQUAL("\"a\\u202eb\\u2066c\\u2028\\ufeff\"", written("a\u202eb\u2066c\u2028\ufeff").c_str());
}

TEST(StreamLog, letters_of_all_scripts_stay_as_they_are) {
  STRCMP_EQUAL("\"größe/温度/🌡\"", written("größe/温度/🌡").c_str());
  STRCMP_EQUAL("\"größe/温度/🌡\"", written_json("größe/温度/🌡").c_str());
}

TEST(StreamLog, bytes_that_are_no_utf8_are_shown_one_by_one) {
  STRCMP_EQUAL("\"a\\xff\\xc3b\\xed\\xa0\\x80\"", written("a\xff\xc3"
                                                          "b\xed\xa0\x80")
                                                      .c_str());
  STRCMP_EQUAL("\"a\\ufffd\\ufffdb\"", written_json("a\xff\xc3"
                                                    "b")
                                           .c_str());
}

TEST(StreamLog, a_long_value_is_cut_and_its_length_told) {
  const std::string value(5000, 'x');
  STRCMP_EQUAL(("\"" + std::string(1024, 'x') + "... (5000 bytes)\"").c_str(), written(value).c_str());
  // Not within a character.
  const std::string odd = "x" + std::string(2000, 'y').replace(1022, 3, "\u20ac");
  STRCMP_EQUAL(("\"x" + std::string(1022, 'y') + "... (2001 bytes)\"").c_str(), written(odd).c_str());
}

TEST(StreamLog, levels_decide_per_module) {
  StreamLog::Options options;
  options.level = LogLevel::kWarn;
  options.levels = {{"auth", LogLevel::kDebug}, {"noise", LogLevel::kError}};
  auto log = StreamLog::open(clock, path, options);
  CHECK(log.ok());
  CHECK((*log.value()).enabled(LogLevel::kWarn, "broker"));
  CHECK_FALSE((*log.value()).enabled(LogLevel::kInfo, "broker"));
  CHECK((*log.value()).enabled(LogLevel::kDebug, "auth"));
  CHECK_FALSE((*log.value()).enabled(LogLevel::kTrace, "auth"));
  CHECK_FALSE((*log.value()).enabled(LogLevel::kWarn, "noise"));
  CHECK((*log.value()).enabled(LogLevel::kError, "noise"));
  log.value()->set_levels(LogLevel::kTrace, {});
  CHECK((*log.value()).enabled(LogLevel::kTrace, "noise"));
}

TEST(StreamLog, a_batching_thread_writes_at_flush_and_errors_at_once) {
  auto log = open();
  log->batch_this_thread(true);
  log->write(LogLevel::kInfo, "m", "a");
  log->write(LogLevel::kInfo, "m", "b");
  STRCMP_EQUAL("", read_file(path).c_str());
  log->flush();
  STRCMP_CONTAINS("m a\n", read_file(path).c_str());
  STRCMP_CONTAINS("m b\n", read_file(path).c_str());
  log->write(LogLevel::kInfo, "m", "c");
  log->write(LogLevel::kError, "m", "d");
  STRCMP_CONTAINS("m c\n", read_file(path).c_str());
  STRCMP_CONTAINS("m d\n", read_file(path).c_str());
}

TEST(StreamLog, lines_of_a_thread_without_turns_go_at_once) {
  auto log = open();
  log->batch_this_thread(true);
  std::thread([&] { log->write(LogLevel::kInfo, "m", "worker"); }).join();
  STRCMP_CONTAINS("m worker\n", read_file(path).c_str());
}

TEST(StreamLog, what_waits_is_written_when_the_log_ends) {
  {
    auto log = open();
    log->batch_this_thread(true);
    log->write(LogLevel::kInfo, "m", "last words");
  }
  STRCMP_CONTAINS("m last words\n", read_file(path).c_str());
}

TEST(StreamLog, a_new_file_is_for_its_owner_and_group_whatever_the_umask_is) {
  for (const mode_t mask : {0022U, 0077U, 0U}) {
    const mode_t before = ::umask(mask);
    open();
    ::umask(before);
    struct stat info {};
    LONGS_EQUAL(0, ::stat(path.c_str(), &info));
    LONGS_EQUAL(0640, info.st_mode & 07777);
    ::unlink(path.c_str());
  }
}

TEST(StreamLog, a_file_that_was_there_keeps_its_mode) {
  open();
  LONGS_EQUAL(0, ::chmod(path.c_str(), 0600));
  open()->write(LogLevel::kInfo, "m", "more");
  struct stat info {};
  LONGS_EQUAL(0, ::stat(path.c_str(), &info));
  LONGS_EQUAL(0600, info.st_mode & 07777);
}

TEST(StreamLog, reopen_follows_a_rotation_and_loses_nothing) {
  auto log = open();
  log->batch_this_thread(true);
  log->write(LogLevel::kInfo, "m", "before");
  LONGS_EQUAL(0, std::rename(path.c_str(), (path + ".1").c_str()));
  CHECK(log->reopen().ok());
  log->write(LogLevel::kInfo, "m", "after");
  log->flush();
  STRCMP_CONTAINS("m before\n", read_file(path + ".1").c_str());
  STRCMP_EQUAL("2023-11-14T22:13:20.042+00:00 info m after\n", read_file(path).c_str());
}

TEST(StreamLog, a_reopen_that_fails_keeps_the_old_file) {
  auto log = open();
  const std::string moved = folder + "-moved";
  LONGS_EQUAL(0, std::rename(folder.c_str(), moved.c_str()));
  const Status status = log->reopen();
  CHECK_FALSE(status.ok());
  CHECK(status.code() == StatusCode::kNotFound);
  log->write(LogLevel::kInfo, "m", "still here");
  LONGS_EQUAL(0, std::rename(moved.c_str(), folder.c_str()));
  STRCMP_CONTAINS("still here", read_file(path).c_str());
}

TEST(StreamLog, it_takes_over_another_output_with_its_form_and_its_levels_and_loses_nothing) {
  const auto log = open();
  log->batch_this_thread(true);
  log->write(LogLevel::kInfo, "m", "before");
  {
    StreamLog::Options options;
    options.format = LogFormat::kJson;
    options.level = LogLevel::kDebug;
    auto other = StreamLog::open(clock, path + ".1", options);
    log->take_over(**other);
  }
  log->write(LogLevel::kDebug, "m", "after");
  log->flush();
  STRCMP_EQUAL("2023-11-14T22:13:20.042+00:00 info m before\n", read_file(path).c_str());
  STRCMP_EQUAL(
      "{\"time\":\"2023-11-14T22:13:20.042+00:00\",\"level\":\"debug\",\"module\":\"m\",\"event\":\"after\"}\n",
      read_file(path + ".1").c_str());
  // What is reopened is the new one.
  ::unlink((path + ".1").c_str());
  CHECK_TRUE(log->reopen().ok());
  log->write(LogLevel::kInfo, "m", "again");
  log->batch_this_thread(false);
  CHECK_TRUE(read_file(path + ".1").find("again") != std::string::npos);
}

TEST(StreamLog, a_file_that_cannot_be_opened_says_why) {
  const auto log = StreamLog::open(clock, folder + "/none/mqloop.log", {});
  CHECK_FALSE(log.ok());
  STRCMP_EQUAL((folder + "/none/mqloop.log: No such file or directory").c_str(),
               std::string(log.status().message()).c_str());
}

TEST(StreamLog, a_reader_that_stands_still_loses_lines_and_learns_how_many) {
  int ends[2];
  LONGS_EQUAL(0, ::pipe2(ends, O_CLOEXEC));
  LONGS_EQUAL(4096, ::fcntl(ends[1], F_SETPIPE_SZ, 4096));
  StreamLog::Options options;
  options.capacity = 2000;
  StreamLog log(clock, ends[1], options);
  for (int i = 0; i < 1000; ++i) log.write(LogLevel::kInfo, "m", "line");
  const auto lost = log.lines_lost();
  CHECK(lost > 500);
  std::string text;
  const auto drain = [&] {
    char buffer[65536];
    const ssize_t size = ::read(ends[0], buffer, sizeof(buffer));
    CHECK(size > 0);
    text.append(buffer, static_cast<std::size_t>(size));
  };
  drain();
  log.write(LogLevel::kInfo, "m", "line");
  drain();
  log.flush();
  drain();
  STRCMP_CONTAINS(("warn log lines were lost lines=" + std::to_string(lost) + "\n").c_str(), text.c_str());
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find(" m line\n", at)) != std::string::npos; ++at) ++lines;
  LONGS_EQUAL(1001 - lost, lines);
  ::close(ends[0]);
  ::close(ends[1]);
}

// The system's log, as far as a program sees it.
class FakeSyslog {
 public:
  explicit FakeSyslog(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    LONGS_EQUAL(0, ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  ~FakeSyslog() { ::close(socket_); }
  FakeSyslog(const FakeSyslog&) = delete;
  FakeSyslog& operator=(const FakeSyslog&) = delete;

  // "" when there is none.
  [[nodiscard]] std::string next() const {
    char text[65536];
    const ssize_t size = ::recv(socket_, text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? std::string() : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  int socket_;
};

TEST_GROUP_BASE(Syslog, TEST_GROUP_CppUTestGroupStreamLog) {
  std::string tag = "Nov 14 22:13:20 mqloopd[" + std::to_string(::getpid()) + "]: ";

  std::unique_ptr<StreamLog> connect(StreamLog::Options options = {}) {
    auto log = StreamLog::open_syslog(clock, "mqloopd", std::move(options), path);
    CHECK(log.ok());
    return std::move(log.value());
  }
};

TEST(Syslog, each_line_is_a_datagram_with_facility_severity_time_and_process) {
  const FakeSyslog syslog(path);
  auto log = connect({.level = LogLevel::kTrace});
  const std::pair<LogLevel, const char*> severities[] = {{LogLevel::kError, "<27>"},
                                                         {LogLevel::kWarn, "<28>"},
                                                         {LogLevel::kInfo, "<30>"},
                                                         {LogLevel::kDebug, "<31>"},
                                                         {LogLevel::kTrace, "<31>"}};
  for (const auto& [level, head] : severities) {
    log->write(level, "auth", "deny", {{"client", "a b"}});
    STRCMP_EQUAL((head + tag + "auth deny client=\"a b\"").c_str(), syslog.next().c_str());
  }
}

TEST(Syslog, a_json_line_is_the_same_object_as_in_a_file) {
  const FakeSyslog syslog(path);
  connect({.format = LogFormat::kJson})->write(LogLevel::kInfo, "m", "e", {{"v", "1"}});
  STRCMP_EQUAL(
      ("<30>" + tag + R"({"time":"2023-11-14T22:13:20.042+00:00","level":"info","module":"m","event":"e","v":"1"})")
          .c_str(),
      syslog.next().c_str());
}

TEST(Syslog, a_value_cannot_make_a_line_of_its_own) {
  const FakeSyslog syslog(path);
  connect()->write(LogLevel::kInfo, "m", "e", {{"v", "x\n<0>forged\0"}});
  STRCMP_EQUAL(("<30>" + tag + "m e v=\"x\\n<0>forged\"").c_str(), syslog.next().c_str());
  STRCMP_EQUAL("", syslog.next().c_str());
}

TEST(Syslog, lines_wait_while_nobody_listens_and_go_to_who_comes_next) {
  auto first = std::make_unique<FakeSyslog>(path);
  auto log = connect();
  log->write(LogLevel::kInfo, "m", "a");
  STRCMP_CONTAINS("m a", first->next().c_str());
  first.reset();
  log->write(LogLevel::kInfo, "m", "b");
  ::unlink(path.c_str());
  log->write(LogLevel::kInfo, "m", "c");
  const FakeSyslog second(path);
  log->write(LogLevel::kInfo, "m", "d");
  for (const char* event : {"m b", "m c", "m d"}) STRCMP_CONTAINS(event, second.next().c_str());
  LONGS_EQUAL(0, log->lines_lost());
}

TEST(Syslog, one_who_listens_and_does_not_read_stops_nobody_and_learns_how_many_lines_were_lost) {
  const FakeSyslog syslog(path);
  auto log = connect({.capacity = 2000});
  for (int i = 0; i < 5000; ++i) log->write(LogLevel::kInfo, "m", "line");
  const auto lost = log->lines_lost();
  CHECK(lost > 0);
  std::size_t lines = 0;
  bool told = false;
  const auto read_all = [&] {
    for (std::string line; !(line = syslog.next()).empty();) {
      lines += line.ends_with("m line") ? 1 : 0;
      told = told || line.ends_with("log lines were lost lines=" + std::to_string(lost));
    }
  };
  read_all();
  log->write(LogLevel::kInfo, "m", "line");
  for (int i = 0; i < 100; ++i) {
    log->flush();
    read_all();
  }
  CHECK(told);
  LONGS_EQUAL(5001 - lost, lines);
}

TEST(Syslog, where_nobody_listens_it_cannot_be_opened) {
  const auto log = StreamLog::open_syslog(clock, "mqloopd", {}, path);
  CHECK_FALSE(log.ok());
  STRCMP_EQUAL(("no system log listens at " + path + ": No such file or directory").c_str(),
               std::string(log.status().message()).c_str());
}

TEST_GROUP(ThreadedStreamLog){};

TEST(ThreadedStreamLog, lines_of_many_threads_stay_whole) {
  char name[] = "/tmp/mqloop-log-XXXXXX";
  const int file = ::mkstemp(name);
  FixedClock clock;
  {
    StreamLog log(clock, file, {});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log, t] {
        log.batch_this_thread(t % 2 == 0);
        for (int i = 0; i < 500; ++i) {
          if (log.enabled(LogLevel::kInfo, "m")) log.write(LogLevel::kInfo, "m", "whole", {{"v", "x y"}});
          if (i % 10 == 0) log.flush();
        }
        log.set_levels(LogLevel::kInfo, {{"other", LogLevel::kTrace}});
        log.batch_this_thread(false);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::ifstream in(name);
  std::string line;
  std::size_t lines = 0;
  while (std::getline(in, line)) {
    ++lines;
    STRCMP_CONTAINS(" info m whole v=\"x y\"", line.c_str());
  }
  LONGS_EQUAL(2000, lines);
  ::close(file);
  ::unlink(name);
}

}  // namespace mqloop
