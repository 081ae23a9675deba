// What became of something that was asked of the database: done, or why not, by what can be done about it. A database
// never throws; whoever writes looks at every Outcome, that of COMMIT above all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace mqloop::store {

enum class Cause : std::uint8_t {
  kNone,
  kFull,      // no space, or a quota is used up: later, when there is some again
  kReadOnly,  // the file or its file system is read-only, or somebody else's
  kBusy,      // somebody else holds a lock: try again
  kIo,        // a read or a write failed: try again
  kSync,      // what was written may be gone from the cache without ever reaching the disk: close, reopen, verify
  kCorrupt,   // the file is damaged, or no database at all
  kOther,     // whatever else; a fault of the program, as a rule
};

// `full`, `read_only` ...; for logs and figures.
[[nodiscard]] std::string_view name_of(Cause cause) noexcept;

class [[nodiscard]] Outcome {
 public:
  Outcome() noexcept = default;
  Outcome(Cause cause, std::string text) : cause_(cause), text_(std::move(text)) {}

  [[nodiscard]] bool ok() const noexcept { return cause_ == Cause::kNone; }
  [[nodiscard]] Cause cause() const noexcept { return cause_; }
  // One sentence for a person, without a final full stop; empty when ok().
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  Cause cause_ = Cause::kNone;
  std::string text_;
};

}  // namespace mqloop::store
