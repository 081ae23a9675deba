// The main function of every CppUTest binary of the tree. Its last line, `N passed, N failed`, counts tests, so that a
// script can add up many binaries; one that dies prints no such line, which the script counts as a failure.
#include <cstdio>

#include <CppUTest/CommandLineTestRunner.h>
#include <CppUTest/MemoryLeakWarningPlugin.h>
#include <CppUTest/TestPlugin.h>
#include <CppUTest/TestRegistry.h>
#include <CppUTest/TestResult.h>

namespace {

class Tally : public TestPlugin {
 public:
  Tally() : TestPlugin("Tally") {}

  void preTestAction(UtestShell& /*test*/, TestResult& result) override { failures_before_ = result.getFailureCount(); }
  void postTestAction(UtestShell& test, TestResult& result) override {
    if (!test.willRun()) return;
    if (result.getFailureCount() == failures_before_) {
      ++passed_;
    } else {
      ++failed_;
    }
  }
  void print() const { std::printf("%zu passed, %zu failed\n", passed_, failed_); }

 private:
  std::size_t failures_before_ = 0;
  std::size_t passed_ = 0;
  std::size_t failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  // CppUTest's leak detector takes every lazily made static for a leak; AddressSanitizer looks for the real ones.
  MemoryLeakWarningPlugin::turnOffNewDeleteOverloads();
  Tally tally;
  TestRegistry::getCurrentRegistry()->installPlugin(&tally);
  const int code = CommandLineTestRunner::RunAllTests(argc, argv);
  TestRegistry::getCurrentRegistry()->removePluginByName("Tally");
  tally.print();
  return code;
}
