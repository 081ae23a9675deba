#include "core/config/loader.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config/expand.h"
#include "core/config/merge.h"
#include "core/config/schema.h"
#include "core/config/units.h"
#include "core/config/yaml_reader.h"

namespace mqloop::config {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxIncludedFiles = 1000;

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

// One byte more than the limit, so that the reader sees that it is too large.
std::optional<std::string> read_file(const std::string& file, int& error_number) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) {
    error_number = errno;
    return std::nullopt;
  }
  std::string text;
  ssize_t got = 0;
  do {
    const std::size_t before = text.size();
    text.resize(std::min(before + 65'536, kMaxFileBytes + 1));
    got = ::read(descriptor, text.data() + before, text.size() - before);
    error_number = errno;
    text.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
  } while ((got > 0 && text.size() <= kMaxFileBytes) || (got < 0 && error_number == EINTR));
  ::close(descriptor);
  if (got < 0) return std::nullopt;
  return text;
}

std::string folder_of(const std::string& file) {
  std::error_code error;
  const fs::path absolute = fs::absolute(file, error);
  return error ? std::string(".") : absolute.parent_path().string();
}

bool has_wildcard(std::string_view pattern) { return pattern.find_first_of("*?[") != std::string_view::npos; }

// In the order of their bytes, whatever the locale. A folder that is there and cannot be read is a failure, not a
// folder without files: without what is in it the configuration would be another one.
std::optional<std::vector<std::string>> matching_files(const std::string& pattern, int& error_number) {
  std::vector<std::string> files;
  ::glob_t found{};
  const auto is_failure = [](const char* /*path*/, int error) -> int {
    errno = error;
    return error != ENOENT && error != ENOTDIR ? 1 : 0;
  };
  errno = 0;
  const int outcome = ::glob(pattern.c_str(), GLOB_NOSORT, is_failure, &found);
  error_number = errno;
  if (outcome == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (outcome != 0 && outcome != GLOB_NOMATCH) return std::nullopt;
  std::sort(files.begin(), files.end());
  return files;
}

class Loader {
 public:
  Loader(const Input& input, const Schema& schema, Errors& errors) : input_(input), schema_(schema), errors_(errors) {}

  Document run() {
    Node* root = input_.file.empty() ? document_.make(NodeKind::kNull, {}) : read(input_.file, {});
    if (root == nullptr) return std::move(document_);
    if (root->kind == NodeKind::kNull) root->kind = NodeKind::kMap;
    if (root->kind != NodeKind::kMap) {
      errors_.add(root->position, "a configuration is a map: key: value");
      return std::move(document_);
    }
    document_.set_root(root);
    apply_overrides(true);
    if (!input_.file.empty()) include_all(*root);
    apply_overrides(false);
    expand_tree(*root, input_.environment, errors_);
    return std::move(document_);
  }

 private:
  // What is included has to be known first.
  void apply_overrides(bool of_include) {
    for (const std::string& assignment : input_.overrides) {
      const std::string_view key = std::string_view(assignment).substr(0, assignment.find_first_of("=."));
      if ((key == "include") == of_include) override_value(document_, assignment, schema_, errors_);
    }
  }

  // `asked_at` is the `include` entry that names the file; none for the main file.
  Node* read(const std::string& file, const Position& asked_at) {
    int error_number = 0;
    const auto text = read_file(file, error_number);
    if (!text) {
      const std::string reason = file + ": " + errno_text(error_number);
      const bool relative = fs::path(file).is_relative();
      errors_.add(asked_at, relative ? reason + " (looked in " + fs::current_path().string() + ")" : reason);
      return nullptr;
    }
    return read_yaml(document_, document_.source(file, folder_of(file)), *text, errors_);
  }

  void include_all(Node& root) {
    std::vector<std::pair<std::string, Position>> patterns;
    if (const Node* include = find(root, "include"); include != nullptr) {
      if (include->kind != NodeKind::kList) return;  // check() says so
      for (const Node* entry : include->children) {
        if (entry->kind != NodeKind::kScalar) continue;
        std::string pattern;
        std::string complaint;  // expand_tree() will tell
        if (expand(entry->text, input_.environment, pattern, complaint)) {
          patterns.emplace_back(std::move(pattern), entry->position);
        }
      }
    } else if (const OptionRule* rule = find_option(schema_, "include"); rule != nullptr && rule->default_text) {
      Document scratch;
      const Node* made = read_yaml(scratch, scratch.source("", ""), *rule->default_text, errors_);
      if (made == nullptr) return;
      for (const Node* entry : made->children) patterns.emplace_back(entry->text, Position{});
    }
    const fs::path folder = fs::path(input_.file).parent_path();
    for (const auto& [pattern, position] : patterns) include_one(root, (folder / pattern).string(), position);
  }

  void include_one(Node& root, const std::string& pattern, const Position& position) {
    int error_number = 0;
    const auto files = has_wildcard(pattern) ? matching_files(pattern, error_number) : std::vector{pattern};
    if (!files) return errors_.add(position, pattern + ": " + errno_text(error_number));
    for (const std::string& file : *files) {
      if (++included_ > kMaxIncludedFiles) {
        return errors_.add(position, "more than " + format_grouped(kMaxIncludedFiles) + " included files");
      }
      Node* from = read(file, position);
      if (from == nullptr || from->kind == NodeKind::kNull) continue;
      if (from->kind != NodeKind::kMap) {
        errors_.add(from->position, "a configuration is a map: key: value");
        continue;
      }
      if (const Node* nested = find(*from, "include"); nested != nullptr) {
        errors_.add(nested->key_position, "only the main file may include");
        std::erase(from->children, nested);
      }
      drop_same_version(root, *from);
      merge(root, *from, {}, errors_);
    }
  }

  // An included file may say which version it was written for, as long as it is the same.
  static void drop_same_version(const Node& root, Node& from) {
    const Node* version = find(root, "version");
    const Node* again = find(from, "version");
    if (version != nullptr && again != nullptr && version->text == again->text) std::erase(from.children, again);
  }

  const Input& input_;
  const Schema& schema_;
  Errors& errors_;
  Document document_;
  std::size_t included_ = 0;
};

}  // namespace

Document load(const Input& input, const Schema& schema, Errors& errors) { return Loader(input, schema, errors).run(); }

}  // namespace mqloop::config
