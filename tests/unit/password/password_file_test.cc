#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/password/password_file.h"
#include "tests/unit/password/mosquitto_lines.h"
#include "tests/unit/plugin/plugin_fixture.h"

#include <CppUTest/TestHarness.h>

using namespace mqloop;
using namespace mqloop::password;

namespace {

// A hash that costs nothing to check.
std::string hash_line(const std::string& name, const std::string& password) {
  return name + ':' + to_text(*make_hash({Scheme::kScrypt, 1, 1, 1}, password)) + '\n';
}

}  // namespace

TEST_GROUP(PasswordFile) {
  plugin_test::Folder folder;

  static PasswordFile read(const std::string& text) {
    Mistakes mistakes;
    PasswordFile file = PasswordFile::parse(text, mistakes);
    LONGS_EQUAL(0, mistakes.count);
    return file;
  }
  static std::string complaint(const std::string& text) {
    Mistakes mistakes;
    (void)PasswordFile::parse(text, mistakes);
    std::string out;
    for (const Mistake& mistake : mistakes.told) {
      out += std::to_string(mistake.line) + ':' + std::to_string(mistake.column) + ": " + mistake.what + '\n';
    }
    LONGS_EQUAL(mistakes.told.size(), mistakes.count);
    return out;
  }
  static void complains(const char* expected, const std::string& text) {
    STRCMP_EQUAL(expected, complaint(text).c_str());
  }
  static bool is_right(const PasswordFile& file, std::string_view name, std::string_view password) {
    const auto hash = file.find(name);
    return hash && check_password(*hash, password) == Match::kYes;
  }
};

TEST(PasswordFile, file_that_mosquitto_wrote_works_as_it_is) {
  std::string text;
  for (const auto& line : password_test::kMosquittoLines) {
    text += std::string(line.name) + ':' + std::string(line.hash) + '\n';
  }
  const PasswordFile file = read(text);
  LONGS_EQUAL(std::size(password_test::kMosquittoLines), file.size());
  for (const auto& line : password_test::kMosquittoLines) {
    CHECK(is_right(file, line.name, line.password));
    CHECK(!is_right(file, line.name, "wrong"));
  }
}

TEST(PasswordFile, empty_file_knows_nobody) {
  for (const char* text : {"", "\n", "# nobody\n", "#"}) {
    const PasswordFile file = read(text);
    LONGS_EQUAL(0, file.size());
    CHECK(!file.find(""));
    CHECK(!file.find("bob"));
  }
}

TEST(PasswordFile, comments_and_empty_lines_are_passed_over) {
  const PasswordFile file = read("# bob:not:me\n\n" + hash_line("bob", "b") + "\n#" + hash_line("eve", "e"));
  LONGS_EQUAL(1, file.size());
  CHECK(is_right(file, "bob", "b"));
  CHECK(!file.find("eve"));
  CHECK(!file.find("#eve"));
}

TEST(PasswordFile, last_line_needs_no_end) {
  std::string text = hash_line("bob", "b");
  text.pop_back();
  CHECK(is_right(read(text), "bob", "b"));
}

TEST(PasswordFile, names_are_compared_byte_by_byte) {
  const PasswordFile file = read(hash_line("bob", "1") + hash_line("Bob", "2") + hash_line("bo", "3") +
                                 hash_line("bob ", "4") + hash_line("zo\xC3\xAB", "5") + hash_line("a b", "6"));
  CHECK(is_right(file, "bob", "1"));
  CHECK(is_right(file, "Bob", "2"));
  CHECK(is_right(file, "bo", "3"));
  CHECK(is_right(file, "bob ", "4"));
  CHECK(is_right(file, "zo\xC3\xAB", "5"));
  CHECK(is_right(file, "a b", "6"));
  for (const char* other : {"", "b", "BOB", "bob  ", "zoe", "bobb"}) CHECK(!file.find(other));
}

TEST(PasswordFile, cve_2018_12551_every_bad_line_refuses_the_file) {
  const std::string good = hash_line("good", "g");
  const std::string hash = good.substr(5, good.size() - 6);
  complains("2:4: a line is NAME:HASH, and here is no ':'\n", good + "bob\n");
  complains("2:2: a line is NAME:HASH, and here is no ':'\n", good + " \n");
  complains("2:1: the user name is empty\n", good + ":" + hash + "\n");
  complains("2:1: the user name is empty\n", good + ":\n");
  complains("2:5: user 'bob' has no hash\n", good + "bob:\n");
  complains("2:5: user 'bob': this is no hash, and passwords in plain text are refused\n", good + "bob:hunter2\n");
  complains("2:6: user 'bob': unknown scheme: known are $6$, $7$, $scrypt$ and $argon2id$\n", good + "bob:$9$x$y\n");
  complains("2:8: user 'bob': the salt is not base64\n", good + "bob:$6$*$AAAA\n");
  complains("2:8: user 'bob': the number of iterations is 0, and must be 1 to 10000000\n", good + "bob:$7$0$AAAA$A\n");
  complains("2:4: a user name cannot hold control characters\n", good + "bob\x1b[2J:" + hash + "\n");
  complains("2:1: a user name cannot hold control characters\n", good + "\xC2\x85:" + hash + "\n");
  complains("2:1: the user name is not UTF-8, so that no client could send it\n", good + "zo\xEB:" + hash + "\n");
  complains("2:1: the user name has more than 65535 bytes\n", good + std::string(65536, 'n') + ":" + hash + "\n");
  complains("1:4: a user name cannot hold control characters\n", std::string("bob\0:x", 6));
  const std::string carriage = good.substr(0, good.size() - 1) + "\r\n";
  CHECK(complaint(carriage).ends_with("the line ends with a carriage return: save the file with Unix line ends\n"));
  CHECK(complaint(good.substr(0, good.size() - 1) + ":extra\n").ends_with(": user 'good': the hash is not base64\n"));
}

TEST(PasswordFile, user_twice_refuses_the_file) {
  complains("3:1: user 'bob' is on line 1 already\n4:1: user 'bob' is on line 3 already\n",
            hash_line("bob", "1") + hash_line("eve", "2") + hash_line("bob", "1") + hash_line("bob", "3"));
}

TEST(PasswordFile, mistakes_are_told_in_the_order_of_the_lines) {
  complains(
      "1:2: a line is NAME:HASH, and here is no ':'\n3:1: user 'a' is on line 2 already\n"
      "4:1: the user name is empty\n",
      "x\n" + hash_line("a", "1") + hash_line("a", "2") + ":x\n");
}

TEST(PasswordFile, no_complaint_repeats_what_could_be_a_password) {
  for (const char* line : {"bob:canary", "canary", "bob:$canary", "bob:$6$canary", "bob:$7$canary$x$y", ":canary",
                           "bob:$scrypt$canary", "bob:$argon2id$canary", "bob:$6$AAAA$canary!", "bob:canary\r"}) {
    const std::string told = complaint(line);
    CHECK(!told.empty());
    CHECK(told.find("canary") == std::string::npos);
  }
}

TEST(PasswordFile, only_the_first_mistakes_are_told_and_all_are_counted) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "x\n";
  const auto loaded = load_password_file(folder.write("many.pw", many));
  CHECK(loaded.ok());
  LONGS_EQUAL(1000, loaded->mistakes.count);
  const std::string told = text_of(loaded->mistakes, "many.pw");
  LONGS_EQUAL(19, std::count(told.begin(), told.end(), '\n'));
  CHECK(told.starts_with("many.pw:1:2: a line is NAME:HASH, and here is no ':'\nmany.pw:2:2: "));
  CHECK(told.ends_with("\nmany.pw:20:1: and 981 more bad lines from here on"));
}

TEST(PasswordFile, hundred_thousand_lines_for_one_user_are_all_counted) {
  const std::string one = hash_line("bob", "b");
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += one;
  Mistakes mistakes;
  (void)PasswordFile::parse(many, mistakes);
  LONGS_EQUAL(99'999, mistakes.count);
  CHECK(text_of(mistakes, "f").ends_with("\nf:21:1: and 99980 more bad lines from here on"));
}

TEST(PasswordFile, stand_in_costs_what_some_user_costs) {
  const PasswordFile file = read("slow:" + to_text(*make_hash({Scheme::kScrypt, 2, 1, 1}, "s")) + '\n' +
                                 "quick:" + to_text(*make_hash({Scheme::kScrypt, 1, 1, 1}, "q")) + '\n');
  std::size_t slow = 0;
  for (std::uint64_t number = 0; number < 100; ++number) {
    const Cost cost = file.stand_in(number).cost;
    CHECK(cost == file.stand_in(number).cost);
    slow += cost.rounds == 2 ? 1U : 0U;
  }
  LONGS_EQUAL(50, slow);
  CHECK(read("").stand_in(7).cost == default_cost(Scheme::kScrypt));
}

TEST(PasswordFile, hundred_thousand_users_cost_their_text_and_sixteen_bytes_each) {
  const std::string line = hash_line("", "p");
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "user-" + std::to_string(i * 7919 % 100'000) + line;
  const auto loaded = load_password_file(folder.write("users.pw", text));
  CHECK(loaded.ok());
  LONGS_EQUAL(100'000, loaded->users.size());
  CHECK(loaded->users.bytes() <= text.size() + 4096 + 100'000 * 16);
  CHECK(loaded->users.find("user-0").has_value());
  CHECK(loaded->users.find("user-99999").has_value());
  CHECK(!loaded->users.find("user-100000").has_value());
}

TEST(PasswordFile, file_that_is_not_there_is_told_apart) {
  const auto loaded = load_password_file(folder.path() + "/none.pw");
  CHECK(loaded.status().code() == StatusCode::kNotFound);
  CHECK(!load_password_file(folder.path()).ok());
}

TEST(PasswordFile, a_pipe_is_refused_at_once) {
  const std::string path = folder.path() + "/pipe";
  LONGS_EQUAL(0, ::mkfifo(path.c_str(), 0600));
  const auto loaded = load_password_file(path);
  CHECK(!loaded.ok());
  CHECK(loaded.status().message().ends_with(": not a regular file"));
}

TEST(PasswordFile, file_that_everybody_can_read_is_told_apart) {
  const std::string path = folder.write("users.pw", hash_line("bob", "b"));
  for (const auto& [mode, others] : {std::pair{0600, false}, {0640, false}, {0644, true}, {0604, true}}) {
    LONGS_EQUAL(0, ::chmod(path.c_str(), static_cast<mode_t>(mode)));
    CHECK(load_password_file(path)->others_may_read == others);
  }
}
