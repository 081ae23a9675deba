#include "plugins/acl_file/acl_text.h"

#include <algorithm>
#include <array>
#include <span>

#include <mqloop/topic.h>

namespace mqloop::acl {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kTrailing = " \t\r\v\f";
constexpr std::array<std::string_view, 3> kKeywords = {"topic", "pattern", "user"};
constexpr std::array<std::string_view, 4> kAccesses = {"read", "write", "readwrite", "deny"};
constexpr std::array<std::uint8_t, 4> kAccessRights = {kRead, kWrite, kRead | kWrite, kDeny};
constexpr std::size_t kNearEnough = 2;

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
std::size_t distance(std::string_view from, std::string_view to) {
  const std::size_t width = to.size() + 1;
  std::vector<std::size_t> cost((from.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& { return cost[i * width + j]; };
  for (std::size_t i = 0; i <= from.size(); ++i) {
    for (std::size_t j = 0; j <= to.size(); ++j) {
      if (i == 0 || j == 0) {
        at(i, j) = i + j;
        continue;
      }
      const std::size_t replaced = at(i - 1, j - 1) + (from[i - 1] == to[j - 1] ? 0 : 1);
      at(i, j) = std::min({replaced, at(i - 1, j) + 1, at(i, j - 1) + 1});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return cost.back();
}

// «'readwrit' is not one of read, write; did you mean 'readwrite'?»
std::string not_one_of(std::string_view word, std::span<const std::string_view> words) {
  std::string text = in_quotes(word) + " is not one of ";
  std::string_view nearest;
  std::size_t best = kNearEnough + 1;
  for (const std::string_view other : words) {
    text.append(other).append(", ");
    if (word.size() > other.size() + kNearEnough) continue;
    if (const std::size_t far = distance(word, other); far < best) {
      best = far;
      nearest = other;
    }
  }
  text.erase(text.size() - 2);
  if (!nearest.empty()) text += "; did you mean " + in_quotes(nearest) + "?";
  return text;
}

class Reader {
 public:
  AclText read(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    while (!text.empty()) {
      ++number_;
      line_ = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line_.size() + 1, text.size()));
      read_line();
    }
    return std::move(result_);
  }

 private:
  void read_line() {
    std::string_view rest = line_.substr(0, line_.find_last_not_of(kTrailing) + 1);
    skip_blanks(rest);
    if (rest.empty() || rest.front() == '#') return;
    const std::string_view keyword = take_word(rest);
    if (keyword == "user") {
      read_user(rest);
    } else if (keyword == "topic" || keyword == "pattern") {
      read_rule(keyword, rest);
    } else {
      complain(keyword, not_one_of(keyword, kKeywords));
    }
  }

  void read_user(std::string_view name) {
    if (name.empty()) return complain(line_.substr(line_.size()), "user needs a name");
    result_.users.push_back({name, {}});
    in_user_ = true;
  }

  void read_rule(std::string_view keyword, std::string_view rest) {
    Rule rule;
    rule.line = number_;
    rule.rights = kRead | kWrite;
    std::string_view after = rest;
    const std::string_view word = take_word(after);
    const auto access = std::find(kAccesses.begin(), kAccesses.end(), word);
    if (access != kAccesses.end()) {
      // mosquitto takes a lone `topic read` for a topic of that name, which nobody means.
      if (after.empty()) {
        return complain(word, std::string(keyword) + " needs a filter after " + in_quotes(word) + "; for the topic " +
                                  in_quotes(word) + " itself write: " + std::string(keyword) + " readwrite " +
                                  std::string(word));
      }
      rule.rights = kAccessRights[static_cast<std::size_t>(access - kAccesses.begin())];
      rest = after;
    } else if (!after.empty()) {
      return complain(word, not_one_of(word, kAccesses));
    }
    if (rest.empty()) return complain(line_.substr(line_.size()), std::string(keyword) + " needs a filter");
    rule.filter = rest;
    if (!check_filter(rest) || (keyword == "pattern" && !find_placeholders(rule))) return;
    rules_for(keyword).push_back(rule);
  }

  std::vector<Rule>& rules_for(std::string_view keyword) {
    if (keyword == "pattern") return result_.patterns;
    return in_user_ ? result_.users.back().rules : result_.anonymous;
  }

  bool check_filter(std::string_view filter) {
    const TopicFilterFault fault = check_topic_filter(filter);
    if (!fault.ok()) {
      std::string what = in_quotes(filter) + ": " + std::string(fault.explanation);
      if (filter.find(" #") != std::string_view::npos) what += "; a comment needs a line of its own";
      complain(filter.substr(fault.column == 0 ? 0 : fault.column - 1), what);
      return false;
    }
    if (filter.starts_with("$share/")) {
      complain(filter, "the rules for a shared subscription are those of its filter: leave $share and its name out");
      return false;
    }
    return true;
  }

  bool find_placeholders(Rule& rule) {
    for (const std::string_view placeholder : {kClientPlaceholder, kUserPlaceholder}) {
      for (std::size_t at = rule.filter.find(placeholder); at != std::string_view::npos;
           at = rule.filter.find(placeholder, at + 1)) {
        const std::size_t end = at + placeholder.size();
        const bool begins_level = at == 0 || rule.filter[at - 1] == '/';
        const bool ends_level = end == rule.filter.size() || rule.filter[end] == '/';
        if (!begins_level || !ends_level) {
          complain(rule.filter.substr(at), in_quotes(placeholder) + " must fill a whole level");
          return false;
        }
        rule.has_placeholder = true;
      }
    }
    return true;
  }

  static void skip_blanks(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  }
  // The first word; `text` is left with what follows it and its blanks.
  static std::string_view take_word(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
    text.remove_prefix(word.size());
    skip_blanks(text);
    return word;
  }

  // `at` is the part of the line that is wrong.
  void complain(std::string_view at, std::string what) {
    const auto column = static_cast<std::uint32_t>(at.data() - line_.data()) + 1;
    result_.mistakes.push_back({number_, column, std::move(what)});
  }

  AclText result_;
  std::string_view line_;
  std::uint32_t number_ = 0;
  bool in_user_ = false;
};

}  // namespace

AclText read_acl(std::string_view text) { return Reader().read(text); }

}  // namespace mqloop::acl
