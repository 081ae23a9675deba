#include <mqloop/socket.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "core/event/socket_address.h"
#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using std::chrono::milliseconds;
using testing::TestReactor;

struct Sink final : StreamSink {
  void accepted(std::unique_ptr<Stream> stream) noexcept override {
    streams.push_back(std::move(stream));
    at_accepted();
  }
  std::vector<std::unique_ptr<Stream>> streams;
  std::function<void()> at_accepted = [] {};
};

SocketListener::Options local(std::uint16_t port = 0) {
  return {.bind = {"127.0.0.1", port}, .origin = "listener 'local', mqloop.yaml:9"};
}

std::uint16_t port_of(const TransportListener& listener) {
  const std::string address(listener.address());
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Connected sockets, closed at the end.
class Clients {
 public:
  Clients() = default;
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients() {
    for (const int fd : fds_) close(fd);
  }
  bool connect_v4(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    return connect_to(reinterpret_cast<const sockaddr&>(address), sizeof address);
  }
  bool connect_v6(std::uint16_t port) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    address.sin6_addr = in6addr_loopback;
    return connect_to(reinterpret_cast<const sockaddr&>(address), sizeof address);
  }

 private:
  bool connect_to(const sockaddr& address, socklen_t size) {
    fds_.push_back(socket(address.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return connect(fds_.back(), &address, size) == 0;
  }
  std::vector<int> fds_;
};

bool machine_has_v6() {
  const int fd = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool has = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) close(fd);
  return has;
}

// Runs `child` in another process, whose result is its exit code.
pid_t in_child(const std::function<int()>& child) {
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  return pid;
}

int exit_code_of(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_GROUP(SocketListener) {
  TestReactor reactor;
  Sink sink;
  Clients clients;

  void turn() { CHECK(reactor->run_once(Reactor::Wait::kNo).ok()); }
  bool turn_until(const std::function<bool()>& condition) { return reactor.turn_until(condition); }
};

TEST(SocketListener, tells_the_port_that_the_system_chose) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  CHECK(port_of(listener) != 0);
  STRCMP_EQUAL(("127.0.0.1:" + std::to_string(port_of(listener))).c_str(), std::string(listener.address()).c_str());
  CHECK(listener.is_loopback());
}

TEST(SocketListener, connections_wait_from_open_until_start) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  CHECK(clients.connect_v4(port_of(listener)));
  CHECK(listener.start(*reactor, sink).ok());
  CHECK(turn_until([&] { return sink.streams.size() == 1; }));
  LONGS_EQUAL(1, listener.counters().accepted);
  CHECK(sink.streams[0]->peer_is_loopback());
  CHECK(sink.streams[0]->peer_address().substr(0, 10) == "127.0.0.1:");
}

TEST(SocketListener, an_accepted_socket_does_not_block_nor_delay_nor_outlive_an_exec) {
  struct Looking final : SocketListener {
    using SocketListener::SocketListener;
    std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept override {
      socklen_t size = sizeof no_delay;
      getsockopt(socket.fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
      flags = fcntl(socket.fd, F_GETFL);
      descriptor_flags = fcntl(socket.fd, F_GETFD);
      return SocketListener::wrap(std::move(socket));
    }
    int no_delay = 0, flags = 0, descriptor_flags = 0;
  } listener(local());
  CHECK(listener.open().ok());
  CHECK(listener.start(*reactor, sink).ok());
  CHECK(clients.connect_v4(port_of(listener)));
  CHECK(turn_until([&] { return sink.streams.size() == 1; }));
  CHECK(listener.no_delay != 0);
  CHECK((listener.flags & O_NONBLOCK) != 0);
  CHECK((listener.descriptor_flags & FD_CLOEXEC) != 0);
}

TEST(SocketListener, a_connection_that_the_wrapper_refuses_is_counted_and_not_told) {
  struct Refusing final : SocketListener {
    using SocketListener::SocketListener;
    std::unique_ptr<Stream> wrap(AcceptedSocket socket) noexcept override {
      close(socket.fd);
      return nullptr;
    }
  } listener(local());
  CHECK(listener.open().ok());
  CHECK(listener.start(*reactor, sink).ok());
  CHECK(clients.connect_v4(port_of(listener)));
  CHECK(turn_until([&] { return listener.counters().failed == 1; }));
  LONGS_EQUAL(0, sink.streams.size());
}

TEST(SocketListener, takes_a_bounded_batch_in_a_turn) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  for (int i = 0; i < 100; ++i) CHECK(clients.connect_v4(port_of(listener)));
  CHECK(listener.start(*reactor, sink).ok());
  turn();
  LONGS_EQUAL(64, sink.streams.size());
  turn();
  LONGS_EQUAL(100, sink.streams.size());
}

TEST(SocketListener, a_pause_keeps_connections_waiting) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  CHECK(listener.start(*reactor, sink).ok());
  listener.pause(true);
  CHECK(clients.connect_v4(port_of(listener)));
  turn();
  turn();
  LONGS_EQUAL(0, sink.streams.size());
  listener.pause(false);
  CHECK(turn_until([&] { return sink.streams.size() == 1; }));
}

TEST(SocketListener, may_be_paused_in_the_middle_of_a_batch) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  for (int i = 0; i < 5; ++i) CHECK(clients.connect_v4(port_of(listener)));
  sink.at_accepted = [&] { listener.pause(sink.streams.size() == 3); };
  CHECK(listener.start(*reactor, sink).ok());
  turn();
  turn();
  LONGS_EQUAL(3, sink.streams.size());
}

TEST(SocketListener, accepts_nothing_after_stop_and_can_be_started_again) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  CHECK(listener.start(*reactor, sink).ok());
  listener.stop();
  CHECK(clients.connect_v4(port_of(listener)));
  turn();
  turn();
  LONGS_EQUAL(0, sink.streams.size());
  CHECK(listener.start(*reactor, sink).ok());
  CHECK(turn_until([&] { return sink.streams.size() == 1; }));
}

TEST(SocketListener, the_wildcard_of_ipv6_takes_ipv4_too) {
  if (!machine_has_v6()) return;
  SocketListener listener({.bind = {"::", 0}, .origin = {}});
  CHECK(listener.open().ok());
  CHECK(listener.address().substr(0, 5) == "[::]:");
  CHECK(!listener.is_loopback());
  CHECK(listener.start(*reactor, sink).ok());
  CHECK(clients.connect_v4(port_of(listener)));
  CHECK(clients.connect_v6(port_of(listener)));
  CHECK(turn_until([&] { return sink.streams.size() == 2; }));
  for (const auto& stream : sink.streams) CHECK(stream->peer_is_loopback());
}

TEST(SocketListener, a_name_is_resolved_and_one_port_chosen_for_all_its_addresses) {
  SocketListener listener({.bind = {"localhost", 0}, .origin = {}});
  CHECK(listener.open().ok());
  CHECK(listener.is_loopback());
  const std::string address(listener.address());
  CHECK(address.find("127.0.0.1:" + std::to_string(port_of(listener))) != std::string::npos);
}

TEST(SocketListener, a_simulated_reactor_cannot_start_it) {
  struct Simulated final : Loop {
    using Loop::Loop;
    void wake() noexcept override {}
  } simulated({.clock = reactor.clock, .log = reactor.log});
  SocketListener listener(local());
  CHECK(listener.open().ok());
  CHECK(listener.start(simulated, sink).code() == StatusCode::kInvalidArgument);
}

TEST_GROUP(SocketListenerRefusal){
    // The message of a listener on `bind` that cannot be opened.
    static std::string refusal(SocketListener::Options options){SocketListener listener(std::move(options));
return std::string(listener.open().message());
}  // namespace mqloop::event
static std::string explanation(int error, std::uint16_t port) {
  const sockaddr_in address = loopback(port);
  return std::string(listen_failure(error, reinterpret_cast<const sockaddr&>(address)).message());
}
}
;

TEST(SocketListenerRefusal, names_the_process_that_holds_the_port) {
  int ready[2], leave[2];
  LONGS_EQUAL(0, pipe(ready));
  LONGS_EQUAL(0, pipe(leave));
  const pid_t holder = in_child([&] {
    prctl(PR_SET_NAME, "port holder");
    close(leave[1]);
    SocketListener listener(local());
    const std::uint16_t port = listener.open().ok() ? port_of(listener) : 0;
    (void)!write(ready[1], &port, sizeof port);
    char byte;
    (void)!read(leave[0], &byte, 1);
    return 0;
  });
  std::uint16_t port = 0;
  (void)!read(ready[0], &port, sizeof port);
  const std::string text = refusal(local(port));
  for (const int fd : {leave[1], leave[0], ready[0], ready[1]}) close(fd);
  LONGS_EQUAL(0, exit_code_of(holder));
  const std::string expected = "cannot listen on 127.0.0.1:" + std::to_string(port) +
                               " (listener 'local', mqloop.yaml:9): already used by pid " + std::to_string(holder) +
                               " (port holder). Stop it, or set another bind:.";
  STRCMP_EQUAL(expected.c_str(), text.c_str());
}

TEST(SocketListenerRefusal, says_when_the_port_is_held_by_the_same_process) {
  SocketListener listener(local());
  CHECK(listener.open().ok());
  SocketListener::Options options = local(port_of(listener));
  options.origin.clear();
  const std::string expected =
      "cannot listen on " + std::string(listener.address()) + ": already used by this process. Set another bind:.";
  STRCMP_EQUAL(expected.c_str(), refusal(options).c_str());
  options.bind.host = "0.0.0.0";
  CHECK(refusal(options).find("already used by this process") != std::string::npos);
}

TEST(SocketListenerRefusal, finds_a_holder_of_all_addresses) {
  if (!machine_has_v6()) return;
  SocketListener listener({.bind = {"::", 0}, .origin = {}});
  CHECK(listener.open().ok());
  CHECK(refusal(local(port_of(listener))).find("already used by this process") != std::string::npos);
}

TEST(SocketListenerRefusal, a_closed_listener_leaves_its_port_to_the_next) {
  auto listener = std::make_unique<SocketListener>(local());
  CHECK(listener->open().ok());
  const std::uint16_t port = port_of(*listener);
  listener.reset();
  STRCMP_EQUAL("", refusal(local(port)).c_str());
}

TEST(SocketListenerRefusal, an_address_of_another_machine) {
  SocketListener::Options options = local(1883);
  options.bind.host = "192.0.2.1";
  STRCMP_EQUAL(
      "cannot listen on 192.0.2.1:1883 (listener 'local', mqloop.yaml:9): no network interface of this machine has "
      "this "
      "address",
      refusal(options).c_str());
}

TEST(SocketListenerRefusal, a_name_that_is_none) {
  const std::string name(64, 'x');  // a label has 63 letters at most, so no name server is asked
  SocketListener listener({.bind = {name, 1883}, .origin = {}});
  const Status status = listener.open();
  CHECK(status.code() == StatusCode::kNotFound);
  const std::string expected = "cannot listen on " + name + ":1883: cannot resolve '" + name + "': ";
  STRNCMP_EQUAL(expected.c_str(), std::string(status.message()).c_str(), expected.size());
}

TEST(SocketListenerRefusal, a_privileged_port_explains_both_remedies) {
  STRCMP_EQUAL(
      "Permission denied. Ports below 1024 need a capability: run 'setcap cap_net_bind_service=+ep' on the program, or "
      "under "
      "systemd set AmbientCapabilities=CAP_NET_BIND_SERVICE",
      explanation(EACCES, 883).c_str());
  STRCMP_EQUAL("Permission denied", explanation(EACCES, 1883).c_str());
}

// What a server in another process with few descriptors tells about itself.
struct ExhaustionReport {
  std::uint16_t port = 0;
  std::size_t accepted_at_limit = 0;
  std::size_t accepted_at_end = 0;
  std::uint64_t exhaustions = 0;
  std::size_t warnings = 0;
  long cpu_milliseconds = 0;
};

namespace {

constexpr std::size_t kWaitingClients = 40;
constexpr rlim_t kFreeDescriptors = 10;

long process_time() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

void run_for(TestReactor& reactor, milliseconds duration) {
  bool over = false;
  reactor->call_after(
      duration, [](void* flag) noexcept { *static_cast<bool*>(flag) = true; }, &over);
  while (!over) (void)reactor->run_once(Reactor::Wait::kUntilSomethingHappens).ok();
}

int serve_with_few_descriptors(int report_to) {
  TestReactor reactor;
  Sink sink;
  SocketListener listener(local());
  if (!listener.open().ok()) return 1;
  const int next_fd = dup(0);
  close(next_fd);
  const rlimit few{static_cast<rlim_t>(next_fd) + kFreeDescriptors, static_cast<rlim_t>(next_fd) + kFreeDescriptors};
  if (setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;

  ExhaustionReport report;
  report.port = port_of(listener);
  if (write(report_to, &report, sizeof report) < 0) return 3;
  if (!listener.start(*reactor, sink).ok()) return 4;
  const long before = process_time();
  run_for(reactor, milliseconds(900));
  report.cpu_milliseconds = process_time() - before;
  report.accepted_at_limit = sink.streams.size();
  report.exhaustions = listener.counters().exhaustions;
  const auto lines = reactor.log.lines();
  report.warnings = static_cast<std::size_t>(std::count_if(
      lines.begin(), lines.end(), [](const std::string& line) { return line.find("accepting paused") == 0; }));

  sink.streams.clear();  // descriptors are free again; each further client leaves at once
  sink.at_accepted = [&sink] { sink.streams.clear(); };
  run_for(reactor, milliseconds(1000));
  report.accepted_at_end = listener.counters().accepted;
  return write(report_to, &report, sizeof report) < 0 ? 3 : 0;
}

}  // namespace

TEST_GROUP(SocketListenerExhaustion){};

TEST(SocketListenerExhaustion, waits_without_spinning_and_goes_on_when_descriptors_are_free) {
  int ends[2];
  LONGS_EQUAL(0, pipe(ends));
  const pid_t server = in_child([&] { return serve_with_few_descriptors(ends[1]); });
  close(ends[1]);
  ExhaustionReport report;
  LONGS_EQUAL(sizeof report, read(ends[0], &report, sizeof report));
  Clients clients;
  for (std::size_t i = 0; i < kWaitingClients; ++i) CHECK(clients.connect_v4(report.port));
  LONGS_EQUAL(sizeof report, read(ends[0], &report, sizeof report));
  close(ends[0]);
  LONGS_EQUAL(0, exit_code_of(server));

  LONGS_EQUAL(kFreeDescriptors, report.accepted_at_limit);
  CHECK(report.exhaustions >= 1 && report.exhaustions <= 8);  // 10, 20, 40 ... 500 ms apart
  LONGS_EQUAL(1, report.warnings);
  CHECK(report.cpu_milliseconds < 200);
  LONGS_EQUAL(kWaitingClients, report.accepted_at_end);
}

}  // namespace mqloop::event
