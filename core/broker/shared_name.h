// The name of a shared subscription's group (4.8.2): `$share/NAME/FILTER` as clients write it. Two names are the same
// group exactly when all of the text is the same: one ShareName with two filters names two groups. Made once by whoever
// needs it first and handed around with every message of the group; immutable, any thread.
#pragma once

#include <string>
#include <string_view>

#include <mqloop/ref.h>

namespace mqloop::broker {

class SharedName final : public SharedObject {
 public:
  // `text` is a well-formed shared filter.
  static Ref<const SharedName> create(std::string_view text) {
    return Ref<const SharedName>::adopt(new SharedName(text));
  }

  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  explicit SharedName(std::string_view text) : text_(text) {}
  ~SharedName() override = default;

  std::string text_;
};

}  // namespace mqloop::broker
