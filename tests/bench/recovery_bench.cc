// How long a broker takes to have a million queued messages back, and what each of them costs in memory: a database of
// our own making is read into a Recovery that keeps what a broker would keep of it.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/store/reader.h"
#include "core/store/store.h"

namespace {

using namespace mqloop;
using namespace mqloop::store;

constexpr std::uint64_t kMessages = 1'000'000;
constexpr std::uint64_t kSessions = 100;
constexpr std::size_t kPayload = 100;

void must(const Outcome& outcome) {
  if (outcome.ok()) return;
  std::fprintf(stderr, "%s\n", outcome.text().c_str());
  std::exit(1);
}

double seconds_of_cpu() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

class Keeper final : public Recovery {
 public:
  void numbers(const RecoveredNumbers& /*numbers*/) override {}
  void session(const SessionState& /*state*/, std::chrono::seconds /*remaining*/) override {}
  void subscription(const SubscribeOp& /*subscription*/) override {}
  void delivery(const Recipient& delivery, DeliveryState /*state*/) override {
    queue.push_back(Ref<const Message>::share(delivery.message));
  }
  void received(std::uint16_t /*packet_id*/) override {}
  void group_message(std::string_view /*group*/, Ref<const Message> /*message*/) override {}
  void retained(Ref<const Message> /*message*/) override {}
  [[nodiscard]] MonotonicTime time_of(WallTime at) const noexcept override {
    return MonotonicTime(at.time_since_epoch());
  }

  std::vector<Ref<const Message>> queue;
};

void fill(Store& store) {
  const std::string payload(kPayload, 'p');
  must(store.begin());
  for (std::uint64_t i = 1; i <= kSessions; ++i) {
    const std::string client_id = "client" + std::to_string(i);
    SessionRow session;
    session.number = i;
    session.client_id = client_id;
    session.expiry_interval = 0xFFFFFFFF;
    must(store.put_session(session));
  }
  for (std::uint64_t i = 1; i <= kMessages; ++i) {
    MessageRow message;
    message.number = i * 64;
    message.topic = "plant/hall3/pump17/temperature";
    message.payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()};
    message.qos = QoS::kAtLeastOnce;
    must(store.insert_message(message));
    DeliveryRow delivery;
    delivery.session = i % kSessions + 1;
    delivery.number = i;
    delivery.message = message.number;
    must(store.insert_delivery(delivery));
    if (i % 1000 == 0) {
      must(store.commit());
      must(store.begin());
    }
  }
  must(store.commit());
  must(store.checkpoint(CheckpointKind::kTruncate));
}

struct Timing {
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  double cpu = seconds_of_cpu();

  void tell(const char* what) const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    std::printf("%-28s %6.2f s, %6.2f s of CPU\n", what, passed.count(), seconds_of_cpu() - cpu);
  }
};

}  // namespace

int main() {
  std::string folder = (std::filesystem::temp_directory_path() / "mqloop-recovery-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const std::string path = folder + "/mqloop.db";
  {
    Store store;
    must(store.open(path, {.synchronous = Synchronous::kNormal}));
    const Timing timing;
    fill(store);
    timing.tell("a million messages written");
    std::printf("%-28s %6.1f MB\n", "database", static_cast<double>(store.sizes().database_bytes) / 1e6);
  }
  {
    Store store;
    must(store.open(path));
    {
      const Timing timing;
      must(store.quick_check());
      timing.tell("looked over");
    }
    Keeper keeper;
    keeper.queue.reserve(kMessages);
    Recovered recovered;
    const std::uint64_t before = resident_bytes();
    const Timing timing;
    must(read_all(store, keeper, {WallTime{}, nullptr}, recovered));
    timing.tell("read back");
    const auto each = static_cast<double>(resident_bytes() - before) / static_cast<double>(keeper.queue.size());
    std::printf("%-28s %6.0f B a message with %zu of payload, %zu in all\n", "memory", each, kPayload,
                keeper.queue.size());
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return 0;
}
