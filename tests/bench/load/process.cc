#include "tests/bench/load/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace mqloop::load {

namespace {

// The start of a file of /proc, or nothing.
std::string content_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text(8192, '\0');
  const ssize_t size = ::read(fd, text.data(), text.size());
  ::close(fd);
  text.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return text;
}

uint64_t number_after(const std::string& text, const char* key) {
  const size_t at = text.find(key);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + std::strlen(key), nullptr, 10);
}

std::string folder_of(int pid) { return "/proc/" + std::to_string(pid) + "/"; }

// Calls `visit(folder)` for each live thread; how many there were.
template <typename Visit>
int each_thread(int pid, Visit&& visit) {
  const std::string tasks = folder_of(pid) + "task/";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(tasks.c_str()), closedir);
  int count = 0;
  while (folder != nullptr) {
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    visit(tasks + entry->d_name + "/");
    ++count;
  }
  return count;
}

}  // namespace

uint64_t Process::cpu_ns() const {
  if (!is_named()) return 0;
  uint64_t sum = 0;
  bool known = true;
  const int count = each_thread(pid_, [&](const std::string& folder) {
    const std::string text = content_of(folder + "schedstat");
    known = known && !text.empty();
    sum += std::strtoull(text.c_str(), nullptr, 10);
  });
  if (known && count > 0) return sum;
  return cpu_ticks() * (1'000'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
}

int Process::threads() const {
  return is_named() ? each_thread(pid_, [](const std::string&) {}) : 0;
}

uint64_t Process::cpu_ticks() const {
  const std::string text = content_of(folder_of(pid_) + "stat");
  const size_t name_end = text.rfind(')');  // the name may hold blanks
  if (name_end == std::string::npos) return 0;
  unsigned long long user = 0;
  unsigned long long system = 0;
  std::sscanf(text.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
  return user + system;
}

uint64_t Process::context_switches() const {
  if (!is_named()) return 0;
  uint64_t sum = 0;
  each_thread(pid_, [&](const std::string& folder) {
    const std::string text = content_of(folder + "status");
    sum += number_after(text, "\nvoluntary_ctxt_switches:") + number_after(text, "nonvoluntary_ctxt_switches:");
  });
  return sum;
}

uint64_t Process::status_field(const char* key) const {
  return is_named() ? number_after(content_of(folder_of(pid_) + "status"), key) : 0;
}

void Process::reset_peak() const {
  if (!is_named()) return;
  const int fd = ::open((folder_of(pid_) + "clear_refs").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(fd, "5", 1);
  ::close(fd);
}

uint64_t own_cpu_ns() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
  const auto micros = static_cast<uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  return (seconds * 1'000'000 + micros) * 1'000;
}

Machine machine_now() {
  unsigned long long ticks[8] = {};  // user nice system idle iowait irq softirq steal
  if (std::sscanf(content_of("/proc/stat").c_str(), "cpu %llu %llu %llu %llu %llu %llu %llu %llu", ticks, ticks + 1,
                  ticks + 2, ticks + 3, ticks + 4, ticks + 5, ticks + 6, ticks + 7) < 8) {
    return {};
  }
  const auto per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {static_cast<double>(ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / per_second,
          static_cast<double>(ticks[7]) / per_second};
}

double load_average() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : 0;
}

}  // namespace mqloop::load
