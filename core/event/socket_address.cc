#include "core/event/socket_address.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>
#include <system_error>

#include <mqloop/socket.h>

namespace mqloop {

namespace {

const sockaddr_in& as_v4(const sockaddr& address) { return reinterpret_cast<const sockaddr_in&>(address); }
const sockaddr_in6& as_v6(const sockaddr& address) { return reinterpret_cast<const sockaddr_in6&>(address); }

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const in6_addr& address) {
  return std::memcmp(&address, kMappedPrefix.data(), kMappedPrefix.size()) == 0;
}

std::string with_port(std::string text, std::uint16_t port_in_network_order) {
  text += ':';
  text += std::to_string(ntohs(port_in_network_order));
  return text;
}

std::string text_of_v4(const void* bytes) {
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, bytes, text, sizeof text);
  return text;
}

}  // namespace

std::string address_text(const sockaddr& address) {
  switch (address.sa_family) {
    case AF_INET:
      return with_port(text_of_v4(&as_v4(address).sin_addr), as_v4(address).sin_port);
    case AF_INET6: {
      const sockaddr_in6& v6 = as_v6(address);
      if (is_mapped(v6.sin6_addr)) return with_port(text_of_v4(&v6.sin6_addr.s6_addr[12]), v6.sin6_port);
      char text[INET6_ADDRSTRLEN];
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
      std::string bracketed = std::string("[") + text;
      if (v6.sin6_scope_id != 0) bracketed += '%' + std::to_string(v6.sin6_scope_id);
      return with_port(bracketed + ']', v6.sin6_port);
    }
    case AF_UNIX: {
      const char* path = reinterpret_cast<const sockaddr_un&>(address).sun_path;
      return *path == '\0' ? "unix" : path;
    }
    default:
      return "unknown";
  }
}

bool address_is_loopback(const sockaddr& address) noexcept {
  switch (address.sa_family) {
    case AF_INET:
      return ntohl(as_v4(address).sin_addr.s_addr) >> 24 == 127;
    case AF_INET6: {
      const in6_addr& v6 = as_v6(address).sin6_addr;
      return is_mapped(v6) ? v6.s6_addr[12] == 127 : std::memcmp(&v6, &in6addr_loopback, sizeof v6) == 0;
    }
    default:
      return address.sa_family == AF_UNIX;
  }
}

namespace event {

std::uint16_t port_of(const sockaddr& address) noexcept {
  return ntohs(address.sa_family == AF_INET ? as_v4(address).sin_port : as_v6(address).sin6_port);
}

void set_port(sockaddr& address, std::uint16_t port) noexcept {
  if (address.sa_family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port);
  }
}

socklen_t length_of(const sockaddr& address) noexcept {
  return address.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

namespace {

struct ListeningSocket {
  std::array<std::uint8_t, 16> address;  // IPv4 as mapped into IPv6
  std::uint16_t port;
  std::uint32_t user_id;
  std::string inode;
};

constexpr unsigned kStateListen = 0x0a;

bool is_any(const std::array<std::uint8_t, 16>& address) {
  const bool mapped = std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
  return std::all_of(address.begin() + (mapped ? 12 : 0), address.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::array<std::uint8_t, 16> mapped_bytes(const void* v4) {
  std::array<std::uint8_t, 16> bytes;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
  std::memcpy(bytes.data() + 12, v4, 4);
  return bytes;
}

std::array<std::uint8_t, 16> bytes_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) return mapped_bytes(&as_v4(address).sin_addr);
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &as_v6(address).sin6_addr, 16);
  return bytes;
}

// A line of /proc/net/tcp or tcp6: "0: 0100007F:075B 00000000:0000 0A 0:0 0:0 0 1000 0 12345 ...". The address is
// hexadecimal in 32-bit words of the machine's byte order.
bool parse_line(const std::string& line, ListeningSocket& socket) {
  char hex[33];
  char inode[24];
  unsigned port, state, user_id;
  // NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers
  if (std::sscanf(line.c_str(), " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %u %*u %23[0-9]", hex,
                  &port, &state, &user_id, inode) != 5 ||
      state != kStateListen) {
    return false;
  }
  const std::size_t words = std::strlen(hex) / 8;
  if (words != 1 && words != 4) return false;
  std::uint32_t address[4];
  for (std::size_t word = 0; word < words; ++word) {
    std::from_chars(hex + word * 8, hex + word * 8 + 8, address[word], 16);
  }
  if (words == 1) {
    socket.address = mapped_bytes(address);
  } else {
    std::memcpy(socket.address.data(), address, 16);
  }
  socket.port = static_cast<std::uint16_t>(port);
  socket.user_id = user_id;
  socket.inode = inode;
  return true;
}

std::optional<ListeningSocket> find_listening(const sockaddr& address) {
  const auto wanted = bytes_of(address);
  const std::uint16_t port = port_of(address);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      ListeningSocket socket;
      if (parse_line(line, socket) && socket.port == port &&
          (socket.address == wanted || is_any(socket.address) || is_any(wanted))) {
        return socket;
      }
    }
  }
  return std::nullopt;
}

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

bool holds_socket(const std::string& process, const std::string& link_target) {
  const std::string folder_name = process + "/fd";
  const Folder folder(opendir(folder_name.c_str()));
  if (folder == nullptr) return false;
  while (const dirent* entry = readdir(folder.get())) {
    char target[64];
    const ssize_t size = readlink((folder_name + '/' + entry->d_name).c_str(), target, sizeof target);
    if (size > 0 && std::string_view(target, static_cast<std::size_t>(size)) == link_target) return true;
  }
  return false;
}

}  // namespace

std::optional<PortOwner> find_port_owner(const sockaddr& address) {
  const std::optional<ListeningSocket> socket = find_listening(address);
  if (!socket) return std::nullopt;
  PortOwner owner;
  owner.user_id = socket->user_id;
  const std::string link_target = "socket:[" + socket->inode + ']';
  const Folder processes(opendir("/proc"));
  if (processes == nullptr) return owner;
  while (const dirent* entry = readdir(processes.get())) {
    const std::string_view name = entry->d_name;
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    const std::string process = "/proc/" + std::string(name);
    if (!holds_socket(process, link_target)) continue;
    owner.pid = pid;
    std::ifstream command(process + "/comm");
    std::getline(command, owner.name);
    break;
  }
  return owner;
}

namespace {

constexpr std::uint16_t kFirstUnprivilegedPort = 1024;

std::string describe_holder(const sockaddr& address) {
  const std::optional<PortOwner> owner = find_port_owner(address);
  if (!owner) return "already in use. Set another bind:.";
  if (!owner->pid) {
    return "already used by a process of user id " + std::to_string(owner->user_id) +
           ". Stop it, or set another bind:.";
  }
  if (*owner->pid == getpid()) return "already used by this process. Set another bind:.";
  return "already used by pid " + std::to_string(*owner->pid) + " (" + owner->name +
         "). Stop it, or set another bind:.";
}

}  // namespace

Status listen_failure(int error, const sockaddr& address) {
  std::string text = std::generic_category().message(error);
  if (error == EADDRINUSE) {
    text = describe_holder(address);
  } else if (error == EADDRNOTAVAIL) {
    text = "no network interface of this machine has this address";
  } else if (error == EACCES && port_of(address) < kFirstUnprivilegedPort) {
    text +=
        ". Ports below 1024 need a capability: run 'setcap cap_net_bind_service=+ep' on the program, or under systemd "
        "set "
        "AmbientCapabilities=CAP_NET_BIND_SERVICE";
  }
  return {from_errno(error, "").code(), text};
}

}  // namespace event

}  // namespace mqloop
