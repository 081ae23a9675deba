// What OpenSSL has to say, in words.
#pragma once

#include <string>

namespace mqloop::tls {

// The first error of this thread's queue, which is emptied: "no shared cipher", "key values mismatch"; `otherwise`
// when there is none.
[[nodiscard]] std::string take_error(const char* otherwise);

}  // namespace mqloop::tls
