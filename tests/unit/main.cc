// The main function of every CppUTest binary of the tree. Its last line, `N passed, N failed`, counts tests, so that a
// script can add up many binaries; one that dies prints no such line, which the script counts as a failure. What passed
// is added to the file that MQLOOP_RAN names.
#include <cstdio>
#include <cstdlib>

#include <CppUTest/CommandLineTestRunner.h>
#include <CppUTest/MemoryLeakWarningPlugin.h>
#include <CppUTest/TestPlugin.h>
#include <CppUTest/TestRegistry.h>
#include <CppUTest/TestResult.h>

namespace {

class Tally : public TestPlugin {
 public:
  Tally() : TestPlugin("Tally") {
    if (const char* name = std::getenv("MQLOOP_RAN")) ran_ = std::fopen(name, "a");
  }
  ~Tally() override {
    if (ran_ != nullptr) std::fclose(ran_);
  }
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  void preTestAction(UtestShell& /*test*/, TestResult& result) override { failures_before_ = result.getFailureCount(); }
  void postTestAction(UtestShell& test, TestResult& result) override {
    if (!test.willRun()) return;
    if (result.getFailureCount() == failures_before_) {
      ++passed_;
      if (ran_ != nullptr) std::fprintf(ran_, "%s.%s\n", test.getGroup().asCharString(), test.getName().asCharString());
    } else {
      ++failed_;
    }
  }
  void print() const { std::printf("%zu passed, %zu failed\n", passed_, failed_); }

 private:
  std::FILE* ran_ = nullptr;
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
