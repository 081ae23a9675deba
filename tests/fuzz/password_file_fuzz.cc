// Any bytes as a password file: it is read, or each mistake is told with a line that the text has. What is read is
// written again byte for byte, and found under its name; what is bad lets nobody in.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/password/password_file.h"

namespace {

using namespace mqloop::password;

void require(bool truth) {
  if (!truth) std::abort();
}

std::size_t count_users(std::string_view text) {
  std::size_t users = 0;
  while (!text.empty()) {
    const Line line = read_line(take_line(text));
    if (line.kind != LineKind::kUser) continue;
    ++users;
    ParseFault fault;
    const auto hash = parse_hash(line.hash, fault);
    require(hash.has_value() && fault_of(hash->cost).empty() && to_text(*hash) == line.hash);
    require(fault_of_name(line.name).empty());
  }
  return users;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  Mistakes mistakes;
  const PasswordFile file = PasswordFile::parse(text, mistakes);
  require(mistakes.told.size() == std::min(mistakes.count, Mistakes::kMostTold));
  for (const Mistake& mistake : mistakes.told) {
    require(mistake.line >= 1 && mistake.line <= lines && mistake.column >= 1 && mistake.column <= size + 1);
    require(!mistake.what.empty());
  }
  if (mistakes.count != 0) return 0;
  require(file.size() == count_users(text));
  std::string_view rest = text;
  while (!rest.empty()) {
    const Line line = read_line(take_line(rest));
    if (line.kind == LineKind::kUser) require(to_text(file.find(line.name).value()) == line.hash);
  }
  require(fault_of(file.stand_in(size).cost).empty());
  return 0;
}
