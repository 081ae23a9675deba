#include <mqloop/socket.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <CppUTest/TestHarness.h>

#include "core/event/users.h"
#include "tests/unit/config/config_fixture.h"
#include "tests/unit/event/accepting.h"
#include "tests/unit/event/support.h"

namespace mqloop::event {

namespace {

using testing::AcceptingSink;
using testing::connect_unix;
using testing::TestReactor;

mode_t mode_of(const std::string& path) {
  struct stat facts {};
  return lstat(path.c_str(), &facts) == 0 ? facts.st_mode : 0;
}

// A socket that is bound to `path`, and does not listen.
Descriptor bind_socket(const std::string& path, int type) {
  Descriptor fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  LONGS_EQUAL(0, bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return fd;
}

// As a broker that was killed leaves it.
void leave_stale(const std::string& path) { (void)bind_socket(path, SOCK_STREAM); }

}  // namespace

TEST_GROUP(UnixListener) {
  config::TestFolder folder;
  TestReactor reactor;
  AcceptingSink sink;
  std::string path = folder.path() + "/mqtt.sock";

  SocketListener::Options options() const {
    SocketListener::Options options;
    options.origin = "listener 'sock', mqloop.yaml:9";
    options.unix_socket = UnixSocketPath{path};
    return options;
  }
  std::string refusal() const { return std::string(SocketListener(options()).open().message()); }
  std::string refused(const std::string& why) const {
    return "cannot listen on " + path + " (listener 'sock', mqloop.yaml:9): " + why;
  }
};

TEST(UnixListener, listens_at_its_path_and_takes_it_away_again) {
  {
    SocketListener listener(options());
    CHECK(listener.open().ok());
    STRCMP_EQUAL(path.c_str(), std::string(listener.address()).c_str());
    CHECK(listener.is_loopback());
    CHECK(S_ISSOCK(mode_of(path)));
  }
  LONGS_EQUAL(0, mode_of(path));
}

TEST(UnixListener, the_mode_is_the_one_that_is_asked_for_whatever_the_umask) {
  for (const mode_t wanted : {0600U, 0660U, 0666U}) {
    for (const mode_t mask : {0077U, 0U, 0777U}) {
      SocketListener::Options wide = options();
      wide.unix_socket->mode = wanted;
      const mode_t before = umask(mask);
      SocketListener listener(wide);
      CHECK(listener.open().ok());
      umask(before);
      LONGS_EQUAL(wanted, mode_of(path) & 07777);
    }
  }
}

TEST(UnixListener, the_owner_and_group_may_be_the_own_ones) {
  SocketListener::Options own = options();
  own.unix_socket->owner = geteuid();
  own.unix_socket->group = getegid();
  CHECK(SocketListener(own).open().ok());
}

TEST(UnixListener, the_peer_is_known_by_its_process_and_user) {
  SocketListener listener(options());
  CHECK(listener.open().ok());
  CHECK(listener.start(*reactor, sink).ok());
  const Descriptor client = connect_unix(path);
  CHECK(reactor.turn_until([&] { return sink.streams.size() == 1; }));
  const Stream& stream = *sink.streams[0];
  const PeerIdentity* const identity = stream.peer_identity();
  CHECK(identity != nullptr && identity->process.has_value());
  LONGS_EQUAL(geteuid(), identity->process->user_id);
  LONGS_EQUAL(getegid(), identity->process->group_id);
  LONGS_EQUAL(getpid(), identity->process->pid);
  STRCMP_EQUAL(user_name(geteuid()).c_str(), identity->process->user_name.c_str());
  CHECK(!identity->certificate && identity->proxy_address.empty());
  STRCMP_EQUAL(("unix:" + user_name(geteuid()) + ":" + std::to_string(getpid())).c_str(),
               std::string(stream.peer_address()).c_str());
  CHECK(stream.peer_is_loopback());
}

TEST(UnixListener, bytes_go_both_ways_and_what_was_written_last_arrives_though_something_was_left_unread) {
  SocketListener listener(options());
  CHECK(listener.open().ok());
  CHECK(listener.start(*reactor, sink).ok());
  const Descriptor client = connect_unix(path);
  CHECK(reactor.turn_until([&] { return sink.streams.size() == 1; }));
  CHECK(testing::send_text(client, "to the broker"));
  STRCMP_EQUAL("to the broker", testing::read_text(*sink.streams[0]).c_str());
  CHECK(testing::send_text(client, "never read"));
  std::string text = "last words";
  const iovec part{text.data(), text.size()};
  CHECK(sink.streams[0]->write({&part, 1}).outcome == IoOutcome::kDone);
  sink.streams.clear();
  char got[32];
  LONGS_EQUAL(text.size(), recv(client.get(), got, sizeof got, 0));
}

TEST(UnixListener, a_stale_socket_makes_way) {
  leave_stale(path);
  SocketListener listener(options());
  CHECK(listener.open().ok());
  CHECK(connect_unix(path).get() >= 0);
}

TEST(UnixListener, a_socket_on_which_somebody_listens_stays) {
  SocketListener first(options());
  CHECK(first.open().ok());
  STRCMP_EQUAL(refused("already used by this process. Stop it, or set another path:.").c_str(), refusal().c_str());
  CHECK(connect_unix(path).get() >= 0);
}

TEST(UnixListener, a_socket_of_another_kind_stays) {
  const Descriptor datagrams = bind_socket(path, SOCK_DGRAM);
  STRCMP_EQUAL(refused("already used by another process. Stop it, or set another path:.").c_str(), refusal().c_str());
  CHECK(S_ISSOCK(mode_of(path)));
}

TEST(UnixListener, what_is_no_socket_is_never_touched) {
  const std::string why = refused("something is there that is no socket. Move it away, or set another path:.");
  folder.write("mqtt.sock", "precious");
  STRCMP_EQUAL(why.c_str(), refusal().c_str());
  CHECK(S_ISREG(mode_of(path)));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  STRCMP_EQUAL(why.c_str(), refusal().c_str());
  std::filesystem::remove(path);
  leave_stale(folder.path() + "/elsewhere");
  std::filesystem::create_symlink("elsewhere", path);
  STRCMP_EQUAL(why.c_str(), refusal().c_str());
  CHECK(S_ISLNK(mode_of(path)));
  CHECK(S_ISSOCK(mode_of(folder.path() + "/elsewhere")));
}

TEST(UnixListener, what_somebody_else_put_at_the_path_meanwhile_stays_there) {
  {
    SocketListener listener(options());
    CHECK(listener.open().ok());
    std::filesystem::remove(path);
    folder.write("mqtt.sock", "another's");
  }
  CHECK(S_ISREG(mode_of(path)));
}

TEST(UnixListener, one_that_could_not_open_leaves_nothing) {
  SocketListener::Options foreign = options();
  foreign.unix_socket->path = folder.path() + "/no/such/folder/mqtt.sock";
  CHECK(SocketListener(foreign).open().code() == StatusCode::kNotFound);
  foreign.unix_socket->path = folder.path() + "/" + std::string(100, 'x');
  STRCMP_CONTAINS("a path of a socket has 107 bytes at most",
                  std::string(SocketListener(foreign).open().message()).c_str());
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST(UnixListener, a_folder_that_another_opener_has_locked_is_waited_for_and_then_refused) {
  const Descriptor lock(open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  LONGS_EQUAL(0, flock(lock.get(), LOCK_EX));
  STRCMP_EQUAL(refused("another process has locked the folder " + folder.path()).c_str(), refusal().c_str());
}

// ---- in place of another -------------------------------------------------------------------------------------------

TEST(UnixListener, the_next_one_takes_over_the_socket_with_those_who_wait) {
  auto before = std::make_unique<SocketListener>(options());
  CHECK(before->open().ok());
  const Descriptor client = connect_unix(path);
  SocketListener::Options wider = options();
  wider.unix_socket->mode = 0666;
  SocketListener after(wider);
  CHECK(after.open_in_place_of(*before).ok());
  before.reset();
  CHECK(S_ISSOCK(mode_of(path)));
  LONGS_EQUAL(0666, mode_of(path) & 07777);
  CHECK(after.start(*reactor, sink).ok());
  CHECK(reactor.turn_until([&] { return sink.streams.size() == 1; }));
}

TEST(UnixListener, the_socket_stays_when_the_next_one_comes_to_nothing) {
  SocketListener before(options());
  CHECK(before.open().ok());
  {
    SocketListener after(options());
    CHECK(after.open_in_place_of(before).ok());
  }
  CHECK(connect_unix(path).get() >= 0);
}

TEST(UnixListener, the_next_one_may_be_elsewhere) {
  auto before = std::make_unique<SocketListener>(options());
  CHECK(before->open().ok());
  SocketListener::Options elsewhere = options();
  elsewhere.unix_socket->path = folder.path() + "/other.sock";
  SocketListener after(elsewhere);
  CHECK(after.open_in_place_of(*before).ok());
  before.reset();
  LONGS_EQUAL(0, mode_of(path));
  CHECK(connect_unix(elsewhere.unix_socket->path).get() >= 0);
}

}  // namespace mqloop::event
