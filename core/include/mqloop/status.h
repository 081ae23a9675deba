// Errors as values. A Status is one pointer wide and empty when all is well, so it costs nothing to return; it may
// cross the border between libmqloop and a plugin because its text is made and freed inside libmqloop. Result<T> is a
// value or the Status that explains why there is none.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <mqloop/export.h>

namespace mqloop {

enum class StatusCode : std::uint8_t {
  kOk = 0,
  kInvalidArgument,    // the caller gave something wrong: mend the input
  kNotFound,           // a file, a symbol, a name does not exist
  kAlreadyExists,      // the name or the address is taken
  kPermissionDenied,   // the system refused
  kResourceExhausted,  // descriptors, memory, a queue or a limit
  kUnavailable,        // may work later
  kDeadlineExceeded,
  kAborted,   // stopped on purpose
  kInternal,  // a fault of the program itself
};

class [[nodiscard]] MQLOOP_API Status {
 public:
  Status() noexcept = default;
  Status(StatusCode code, std::string_view message);
  Status(const Status& other);
  Status(Status&& other) noexcept : text_(std::exchange(other.text_, nullptr)) {}
  Status& operator=(const Status& other);
  Status& operator=(Status&& other) noexcept {
    std::swap(text_, other.text_);
    return *this;
  }
  ~Status() {
    if (text_ != nullptr) release();
  }

  [[nodiscard]] bool ok() const noexcept { return text_ == nullptr; }
  [[nodiscard]] StatusCode code() const noexcept;
  // One sentence for a person, without a final full stop; empty when ok().
  [[nodiscard]] std::string_view message() const noexcept;

 private:
  struct Text;
  void release() noexcept;
  Text* text_ = nullptr;
};

inline Status ok() noexcept { return {}; }

MQLOOP_API Status invalid_argument(std::string_view message);
MQLOOP_API Status not_found(std::string_view message);
// `what`, a colon and the text of `error_number` (errno), with the StatusCode that fits it.
MQLOOP_API Status from_errno(int error_number, std::string_view what);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor): `return value;` is the point
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor): as is `return error;`
    assert(!status_.ok());
  }

  [[nodiscard]] bool ok() const noexcept { return value_.has_value(); }
  [[nodiscard]] const Status& status() const noexcept { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() & { return *value_; }
  T&& operator*() && { return *std::move(value_); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace mqloop
