#include "core/cli/mqloopd/open_log.h"

#include <unistd.h>

namespace mqloop::cli {

Result<std::unique_ptr<StreamLog>> open_log(const broker::LoggingSettings& logging, const Clock& clock) {
  StreamLog::Options options;
  options.format = logging.format;
  options.level = logging.level;
  options.levels.insert(logging.levels.begin(), logging.levels.end());
  if (!logging.file.empty()) return StreamLog::open(clock, logging.file, options);
  if (logging.syslog) return StreamLog::open_syslog(clock, "mqloopd", options);
  return std::make_unique<StreamLog>(clock, STDERR_FILENO, options);
}

}  // namespace mqloop::cli
