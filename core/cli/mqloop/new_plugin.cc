#include "core/cli/mqloop/new_plugin.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <span>
#include <system_error>

namespace mqloop::cli {

namespace {

namespace fs = std::filesystem;

struct Template {
  const char* folder;  // below the templates
  std::string_view name;
  std::string_view class_name;
  // What somebody's editor or build has left in the folder is not of the template.
  std::span<const std::string_view> files;
};

constexpr std::string_view kAuthFiles[] = {"Makefile", "README.md", "auth_badge.cc", "auth_badge_test.cc"};
constexpr std::string_view kTransportFiles[] = {"Makefile",
                                                "README.md",
                                                "transport_veil.cc",
                                                "transport_veil_stream.h",
                                                "transport_veil_stream.cc",
                                                "transport_veil_test.cc"};
constexpr Template kAuth = {".", "auth_badge", "AuthBadge", kAuthFiles};
constexpr Template kTransport = {"transport_veil", "transport_veil", "TransportVeil", kTransportFiles};

const Template& template_for(std::string_view plugin_name) {
  return plugin_name.starts_with("transport_") ? kTransport : kAuth;
}

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

Status failed(const std::error_code& error, const fs::path& path) { return from_errno(error.value(), path.string()); }

Status copy_renamed(const fs::path& from, const fs::path& to, std::string_view plugin_name) {
  std::ifstream in(from, std::ios::binary);
  if (!in) return from_errno(errno, from.string());
  const std::string text(std::istreambuf_iterator<char>(in), {});
  std::ofstream out(to, std::ios::binary);
  out << rename_template(text, plugin_name);
  out.close();
  return out ? ok() : from_errno(errno, to.string());
}

}  // namespace

Status check_plugin_name(std::string_view name) {
  bool fits = !name.empty() && is_lower(name.front());
  for (const char c : name) fits = fits && (is_lower(c) || is_digit(c) || c == '_');
  if (fits) return ok();
  return invalid_argument("'" + std::string(name) +
                          "' cannot be a plugin's name: small letters, digits and _, a letter first, such as "
                          "auth_coffee_card");
}

std::string class_name_of(std::string_view plugin_name) {
  std::string out;
  bool begins = true;
  for (const char c : plugin_name) {
    if (c == '_') {
      begins = true;
      continue;
    }
    out += begins && is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
    begins = false;
  }
  return out;
}

std::string rename_template(std::string_view text, std::string_view plugin_name) {
  std::string out(text);
  const Template& its = template_for(plugin_name);
  replace_all(out, its.name, plugin_name);
  replace_all(out, its.class_name, class_name_of(plugin_name));
  // As a configuration calls a transport, `transport: veil`.
  if (&its == &kTransport) {
    replace_all(out, ": veil", ": " + std::string(plugin_name.substr(plugin_name.find('_') + 1)));
  }
  return out;
}

Status make_plugin(const fs::path& from_templates, const fs::path& target, std::string_view plugin_name) {
  std::error_code error;
  if (!fs::create_directory(target, error)) {
    return error ? failed(error, target)
                 : Status(StatusCode::kAlreadyExists, target.string() + " is there already; nothing was changed");
  }
  const Template& its = template_for(plugin_name);
  for (const std::string_view file : its.files) {
    const fs::path to = target / rename_template(file, plugin_name);
    if (Status status = copy_renamed(from_templates / its.folder / file, to, plugin_name); !status.ok()) return status;
  }
  return ok();
}

}  // namespace mqloop::cli
