#include <string>
#include <vector>

// Before CppUTest, whose macros rename `new`.
#include <mqloop/plugin.h>

#include "core/plugin/loader.h"
#include "tests/unit/plugin/plugin_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::plugin;
using namespace mqloop::plugin_test;

namespace {

mqloop_plugin_block good_block() {
  return {MQLOOP_PLUGIN_MAGIC,
          sizeof(mqloop_plugin_block),
          MQLOOP_ABI_MAJOR,
          MQLOOP_ABI_MINOR,
          MQLOOP_BUILD_FLAGS,
          "x",
          "1",
          "s",
          []() -> void* { return nullptr; },
          [](void*) {}};
}

void says(const char* expected, const Status& status) { STRCMP_EQUAL(expected, std::string(status.message()).c_str()); }

}  // namespace

TEST_GROUP(PluginBlock) {
  mqloop_plugin_block block = good_block();

  void refused(const char* why) { says(why, check_block(&block, "x.so")); }
};

TEST(PluginBlock, good_one_is_accepted) { CHECK_TRUE(check_block(&block, "x.so").ok()); }

TEST(PluginBlock, none_is_refused) {
  says("x.so: its mqloop_plugin_info() returns nothing", check_block(nullptr, "x.so"));
}

TEST(PluginBlock, wrong_magic_is_no_plugin) {
  block.magic = 0xabc;
  refused("x.so: not an mqloop plugin (its block begins with 0xabc instead of 0x10a706f6f6c716d)");
}

TEST(PluginBlock, other_major_is_refused_before_anything_else_is_read) {
  block.abi_major = 2;
  block.build_flags = ~MQLOOP_BUILD_FLAGS;
  block.name = nullptr;
  refused("x.so: ABI 1 needed, 2 found; build it again with the headers of this mqloop");
}

TEST(PluginBlock, newer_minor_is_refused) {
  block.abi_minor = MQLOOP_ABI_MINOR + 3;
  refused("x.so: ABI 1.0 or lower needed, 1.3 found; it was built for a newer mqloop");
}

TEST(PluginBlock, truncated_one_is_refused) {
  block.struct_size = 12;
  refused("x.so: its plugin block has no more than 12 bytes");
  block.struct_size = sizeof block - 1;
  refused("x.so: its plugin block has 63 bytes, 64 needed");
}

TEST(PluginBlock, longer_one_of_the_same_major_is_accepted) {
  block.struct_size = sizeof block + 16;
  CHECK_TRUE(check_block(&block, "x.so").ok());
}

TEST(PluginBlock, each_build_flag_must_agree) {
  const struct {
    std::uint32_t bit;
    std::string name;
  } flags[] = {{MQLOOP_BUILD_CXX11_ABI, "libstdc++'s C++11 ABI"},
               {MQLOOP_BUILD_ASAN, "AddressSanitizer"},
               {MQLOOP_BUILD_TSAN, "ThreadSanitizer"},
               {MQLOOP_BUILD_GLIBCXX_DEBUG, "_GLIBCXX_DEBUG"}};
  for (const auto& flag : flags) {
    block.build_flags = MQLOOP_BUILD_FLAGS ^ flag.bit;
    const bool plugin_has = (block.build_flags & flag.bit) != 0;
    const std::string expected = std::string("x.so: built ") + (plugin_has ? "with " : "without ") + flag.name +
                                 ", but this mqloop " + (plugin_has ? "without" : "with");
    refused(expected.c_str());
  }
}

TEST(PluginBlock, flag_that_this_host_does_not_know_is_refused) {
  block.build_flags = MQLOOP_BUILD_FLAGS | 0x100;
  refused("x.so: built with the unknown flags 0x100");
}

TEST(PluginBlock, every_text_and_function_must_be_there) {
  block.name = "";
  refused("x.so: its plugin block has no name; use MQLOOP_PLUGIN to make it");
  block = good_block();
  block.version = nullptr;
  refused("x.so: its plugin block has no version; use MQLOOP_PLUGIN to make it");
  block = good_block();
  block.summary = nullptr;
  refused("x.so: its plugin block has no summary; use MQLOOP_PLUGIN to make it");
  block = good_block();
  block.create = nullptr;
  refused("x.so: its plugin block has no create function; use MQLOOP_PLUGIN to make it");
  block = good_block();
  block.destroy = nullptr;
  refused("x.so: its plugin block has no destroy function; use MQLOOP_PLUGIN to make it");
}

TEST_GROUP(PluginLoader) {
  Loader loader{{"/nonexistent", samples()}};

  void refused(const char* name, const std::string& why) {
    const auto block = loader.load_named(name);
    CHECK_FALSE(block.ok());
    if (!block.ok()) says((samples() + '/' + name + ".so: " + why).c_str(), block.status());
  }
};

TEST(PluginLoader, plugin_is_found_in_the_first_folder_that_has_it) {
  const auto block = loader.load_named("answers");
  CHECK_TRUE(block.ok());
  STRCMP_EQUAL("answers", block.value()->name);
  STRCMP_EQUAL("1.0", block.value()->version);
}

TEST(PluginLoader, file_that_is_loaded_twice_is_one_plugin) {
  POINTERS_EQUAL(loader.load_named("answers").value(), loader.load_file(samples() + "/answers.so").value());
}

TEST(PluginLoader, missing_plugin_is_told_with_the_folders_and_the_nearest_name) {
  says(("there is no plugin 'anwsers' (looked for anwsers.so in /nonexistent and " + samples() +
        "); did you mean 'answers'?")
           .c_str(),
       loader.load_named("anwsers").status());
}

TEST(PluginLoader, name_is_not_a_path) {
  says("'../answers' is a path, not a plugin's name; write `path:` instead", loader.load_named("../answers").status());
}

TEST(PluginLoader, missing_file_is_told_with_the_reason) {
  says("/nonexistent/x.so: No such file or directory", loader.load_file("/nonexistent/x.so").status());
}

TEST(PluginLoader, file_that_is_no_shared_object_is_refused) {
  const Folder folder;
  const std::string file = folder.write("x.so", "#!/bin/sh\n");
  says((file + ": file too short").c_str(), loader.load_file(file).status());
}

TEST(PluginLoader, shared_object_without_the_symbol_is_refused) {
  refused("no_symbol", "not an mqloop plugin (no symbol mqloop_plugin_info). Was it built with `pkg-config mqloop`?");
}

TEST(PluginLoader, wrong_magic_is_refused) {
  refused("wrong_magic", "not an mqloop plugin (its block begins with 0x123456789abcdef instead of 0x10a706f6f6c716d)");
}

TEST(PluginLoader, other_major_is_refused) {
  refused("other_major", "ABI 1 needed, 2 found; build it again with the headers of this mqloop");
}

TEST(PluginLoader, newer_minor_is_refused) {
  refused("newer_minor", "ABI 1.0 or lower needed, 1.3 found; it was built for a newer mqloop");
}

TEST(PluginLoader, other_build_flags_are_refused) { CHECK_FALSE(loader.load_named("other_flags").ok()); }

TEST(PluginLoader, named_plugin_must_call_itself_so) {
  refused("misnamed", "it is the plugin 'somebody_else', not 'misnamed'; give the file its name back, or use `path:`");
  CHECK_TRUE(loader.load_file(samples() + "/misnamed.so").ok());
}

TEST_GROUP(PluginFolders){};

TEST(PluginFolders, one_that_is_set_is_the_only_one) {
  const std::vector<std::string> folders = plugin_folders("/opt/plugins");
  LONGS_EQUAL(1, folders.size());
  STRCMP_EQUAL("/opt/plugins", folders[0].c_str());
}

TEST(PluginFolders, else_the_build_tree_comes_before_the_installed_one) {
  const std::string program_folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  const std::vector<std::string> folders = plugin_folders("");
  LONGS_EQUAL(2, folders.size());
  STRCMP_EQUAL(std::filesystem::path(program_folder + "/../plugins").lexically_normal().c_str(), folders[0].c_str());
  CHECK(folders[1].ends_with("/mqloop/plugins"));
}

TEST(PluginFolders, data_is_where_it_was_said_to_be_else_where_the_program_was_installed_for) {
  STRCMP_EQUAL("/srv/data", data_folder("/srv/data").c_str());
  const std::string folder = data_folder("");
  CHECK(folder.starts_with("/"));
  CHECK(folder.ends_with("/lib/mqloop"));
}
