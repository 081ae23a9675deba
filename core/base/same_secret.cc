#include <cstddef>

#include <mqloop/secret.h>

namespace mqloop {

bool same_secret(std::string_view expected, std::string_view given) noexcept {
  // Volatile: or the compiler might see that one difference decides, and stop at it.
  volatile std::size_t difference = expected.size() ^ given.size();
  const std::string_view other = expected.size() == given.size() ? expected : given;
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference = difference | static_cast<std::size_t>(static_cast<unsigned char>(other[i] ^ given[i]));
  }
  return difference == 0;
}

}  // namespace mqloop
