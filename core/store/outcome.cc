#include "core/store/outcome.h"

namespace mqloop::store {

std::string_view name_of(Cause cause) noexcept {
  switch (cause) {
    case Cause::kNone:
      return "none";
    case Cause::kFull:
      return "full";
    case Cause::kReadOnly:
      return "read_only";
    case Cause::kBusy:
      return "busy";
    case Cause::kIo:
      return "io";
    case Cause::kSync:
      return "sync";
    case Cause::kCorrupt:
      return "corrupt";
    case Cause::kOther:
      break;
  }
  return "other";
}

}  // namespace mqloop::store
