#include <mqloop/status.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>

namespace mqloop {

struct Status::Text {
  StatusCode code;
  std::string message;
};

Status::Status(StatusCode code, std::string_view message) {
  if (code != StatusCode::kOk) text_ = new Text{code, std::string(message)};
}

Status::Status(const Status& other) : text_(other.text_ == nullptr ? nullptr : new Text(*other.text_)) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) *this = Status(other);
  return *this;
}

void Status::release() noexcept { delete text_; }

StatusCode Status::code() const noexcept { return text_ == nullptr ? StatusCode::kOk : text_->code; }

std::string_view Status::message() const noexcept {
  return text_ == nullptr ? std::string_view() : std::string_view(text_->message);
}

Status invalid_argument(std::string_view message) { return {StatusCode::kInvalidArgument, message}; }

Status not_found(std::string_view message) { return {StatusCode::kNotFound, message}; }

namespace {

StatusCode code_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return StatusCode::kNotFound;
    case EEXIST:
    case EADDRINUSE:
      return StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return StatusCode::kPermissionDenied;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
      return StatusCode::kResourceExhausted;
    case EINVAL:
      return StatusCode::kInvalidArgument;
    case ETIMEDOUT:
      return StatusCode::kDeadlineExceeded;
    default:
      return StatusCode::kUnavailable;
  }
}

}  // namespace

Status from_errno(int error_number, std::string_view what) {
  std::string text(what);
  text += ": ";
  text += std::generic_category().message(error_number);
  return {code_of_errno(error_number), text};
}

}  // namespace mqloop
