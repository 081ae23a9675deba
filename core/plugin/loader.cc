#include "core/plugin/loader.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "core/base/build_info.h"
#include "core/config/suggest.h"

namespace mqloop::plugin {

namespace {

constexpr std::string_view kSuffix = ".so";

struct BuildFlag {
  std::uint32_t bit;
  const char* name;
};
constexpr BuildFlag kBuildFlags[] = {
    {MQLOOP_BUILD_CXX11_ABI, "libstdc++'s C++11 ABI"},
    {MQLOOP_BUILD_ASAN, "AddressSanitizer"},
    {MQLOOP_BUILD_TSAN, "ThreadSanitizer"},
    {MQLOOP_BUILD_GLIBCXX_DEBUG, "_GLIBCXX_DEBUG"},
};

Status refused(std::string_view file, const std::string& why) {
  return invalid_argument(std::string(file) + ": " + why);
}

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

// `built with AddressSanitizer, but this mqloop without`, for the first difference.
std::string flag_difference(std::uint32_t flags) {
  for (const BuildFlag& flag : kBuildFlags) {
    if (((flags ^ MQLOOP_BUILD_FLAGS) & flag.bit) == 0) continue;
    const bool plugin_has = (flags & flag.bit) != 0;
    return std::string(plugin_has ? "built with " : "built without ") + flag.name + ", but this mqloop " +
           (plugin_has ? "without" : "with");
  }
  return "built with the unknown flags " + hex(flags & ~std::uint32_t{MQLOOP_BUILD_FLAGS});
}

Status check_texts(const mqloop_plugin_block& block, std::string_view file) {
  const char* missing = block.name == nullptr || *block.name == '\0' ? "name"
                        : block.version == nullptr                   ? "version"
                        : block.summary == nullptr                   ? "summary"
                        : block.create == nullptr                    ? "create function"
                        : block.destroy == nullptr                   ? "destroy function"
                                                                     : nullptr;
  if (missing == nullptr) return ok();
  return refused(file, std::string("its plugin block has no ") + missing + "; use MQLOOP_PLUGIN to make it");
}

bool is_there(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0;
}

// dlerror() without the path that it begins with.
std::string loading_error(const std::string& path) {
  const char* text = ::dlerror();
  std::string error = text == nullptr ? "cannot be loaded" : text;
  if (error.starts_with(path + ": ")) error.erase(0, path.size() + 2);
  return error;
}

// Of all plugins in these folders the one that was perhaps meant, as `; did you mean 'auth_file'?`.
std::string suggestion(std::string_view name, const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == kSuffix) names.push_back(entry->path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  const std::string_view found = config::nearest(name, names);
  return found.empty() ? std::string() : "; did you mean '" + std::string(found) + "'?";
}

}  // namespace

Status check_block(const mqloop_plugin_block* block, std::string_view file) {
  if (block == nullptr) return refused(file, "its " MQLOOP_PLUGIN_SYMBOL "() returns nothing");
  if (block->magic != MQLOOP_PLUGIN_MAGIC) {
    return refused(file, "not an mqloop plugin (its block begins with " + hex(block->magic) + " instead of " +
                             hex(MQLOOP_PLUGIN_MAGIC) + ")");
  }
  if (block->struct_size < offsetof(mqloop_plugin_block, build_flags) + sizeof block->build_flags) {
    return refused(file, "its plugin block has no more than " + std::to_string(block->struct_size) + " bytes");
  }
  if (block->abi_major != MQLOOP_ABI_MAJOR) {
    return refused(file, "ABI " + std::to_string(MQLOOP_ABI_MAJOR) + " needed, " + std::to_string(block->abi_major) +
                             " found; build it again with the headers of this mqloop");
  }
  if (block->abi_minor > MQLOOP_ABI_MINOR) {
    const std::string major = std::to_string(MQLOOP_ABI_MAJOR) + '.';
    return refused(file, "ABI " + major + std::to_string(MQLOOP_ABI_MINOR) + " or lower needed, " + major +
                             std::to_string(block->abi_minor) + " found; it was built for a newer mqloop");
  }
  if (block->struct_size < sizeof(mqloop_plugin_block)) {
    return refused(file, "its plugin block has " + std::to_string(block->struct_size) + " bytes, " +
                             std::to_string(sizeof(mqloop_plugin_block)) + " needed");
  }
  if (block->build_flags != MQLOOP_BUILD_FLAGS) return refused(file, flag_difference(block->build_flags));
  return check_texts(*block, file);
}

std::vector<std::string> plugin_folders(std::string_view plugin_dir) {
  if (!plugin_dir.empty()) return {std::string(plugin_dir)};
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {};
  std::vector<std::string> folders;
  for (const char* from_program : {build::kBuildPluginsFromProgram, build::kPluginsFromProgram}) {
    folders.push_back((program.parent_path() / from_program).lexically_normal().string());
  }
  return folders;
}

std::string data_folder(std::string_view data_dir) {
  if (!data_dir.empty()) return std::string(data_dir);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : (program.parent_path() / build::kDataFromProgram).lexically_normal().string();
}

Result<const mqloop_plugin_block*> Loader::load_named(std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    return invalid_argument("'" + std::string(name) + "' is a path, not a plugin's name; write `path:` instead");
  }
  std::string looked_in;
  for (const std::string& folder : folders_) {
    const std::string path = (std::filesystem::path(folder) / (std::string(name) += kSuffix)).string();
    if (!is_there(path)) {
      looked_in += (looked_in.empty() ? "" : " and ") + folder;
      continue;
    }
    Result<const mqloop_plugin_block*> block = load_file(path);
    if (block.ok() && name != (*block)->name) {
      return refused(path, "it is the plugin '" + std::string((*block)->name) + "', not '" + std::string(name) +
                               "'; give the file its name back, or use `path:`");
    }
    return block;
  }
  return not_found("there is no plugin '" + std::string(name) + "' (looked for " + std::string(name) +
                   std::string(kSuffix) + " in " + looked_in + ")" + suggestion(name, folders_));
}

Result<const mqloop_plugin_block*> Loader::load_file(const std::string& path) {
  const auto known = loaded_.find(path);
  if (known != loaded_.end()) return known->second.block;
  if (!is_there(path)) return from_errno(errno, path);
  const FileState state = state_of(path);

  void* object = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) return refused(path, loading_error(path));
  const auto info = reinterpret_cast<mqloop_plugin_function>(::dlsym(object, MQLOOP_PLUGIN_SYMBOL));
  if (info == nullptr) {
    return refused(path,
                   "not an mqloop plugin (no symbol " MQLOOP_PLUGIN_SYMBOL "). Was it built with `pkg-config mqloop`?");
  }
  const mqloop_plugin_block* block = info();
  if (Status status = check_block(block, path); !status.ok()) return status;
  loaded_.emplace(path, LoadedFile{block, state});
  return block;
}

Loader::FileState Loader::state_of(const std::string& path) noexcept {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return {};
  return {facts.st_dev, facts.st_ino, std::int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec};
}

std::vector<std::string> Loader::changed_files() const {
  std::vector<std::string> changed;
  for (const auto& [path, file] : loaded_) {
    if (file.state != state_of(path)) changed.push_back(path);
  }
  return changed;
}

}  // namespace mqloop::plugin
