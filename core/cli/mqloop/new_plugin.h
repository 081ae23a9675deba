// `mqloop new-plugin NAME`: a folder NAME with a plugin that works, its Makefile, its test and its README, made from
// one of the templates that ship with mqloop: a transport where the name begins with transport_, else an authenticator.
// The names in it are the plugin's own.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <mqloop/status.h>

namespace mqloop::cli {

// Why `name` cannot be a plugin's name; ok when it can.
[[nodiscard]] Status check_plugin_name(std::string_view name);

// auth_coffee_card -> AuthCoffeeCard.
[[nodiscard]] std::string class_name_of(std::string_view plugin_name);

// `text`, which is of the template for that plugin, with its names replaced by those of the plugin.
[[nodiscard]] std::string rename_template(std::string_view text, std::string_view plugin_name);

// Copies what the template for that plugin holds into the new folder `target`.
[[nodiscard]] Status make_plugin(const std::filesystem::path& from_templates, const std::filesystem::path& target,
                                 std::string_view plugin_name);

}  // namespace mqloop::cli
