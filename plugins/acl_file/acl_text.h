// Reads an access control list in mosquitto's grammar, line by line:
//
//   # comment
//   user NAME                                        the topic lines below are this user's
//   topic [read|write|readwrite|deny] FILTER         before the first `user`: of clients without a user name
//   pattern [read|write|readwrite|deny] FILTER       everybody's; the levels %c and %u are the client's id and user
//   name
//
// Without an access it is readwrite. Nothing is guessed: every line that is not one of these is a mistake, and all
// mistakes are told. Pure; the result refers to the text that was read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mqloop::acl {

// What a rule is about; a set of rights.
enum Right : std::uint8_t { kRead = 1, kWrite = 2, kDeny = 4 };

struct Rule {
  std::string_view filter;
  std::uint32_t line = 0;   // in the file, from 1
  std::uint8_t rights = 0;  // of Right: one or two to allow, or kDeny alone
  bool has_placeholder = false;
};

struct Mistake {
  std::uint32_t line = 0;
  std::uint32_t column = 0;  // in bytes, from 1
  std::string what;
};

struct AclText {
  struct Section {
    std::string_view user;
    std::vector<Rule> rules;
  };
  std::vector<Rule> anonymous;
  std::vector<Section> users;  // as they stand; a name may come twice
  std::vector<Rule> patterns;
  std::vector<Mistake> mistakes;
};

[[nodiscard]] AclText read_acl(std::string_view text);

// The levels that stand for a client's own names.
inline constexpr std::string_view kClientPlaceholder = "%c";
inline constexpr std::string_view kUserPlaceholder = "%u";

}  // namespace mqloop::acl
