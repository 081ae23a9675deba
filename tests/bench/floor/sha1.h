// SHA-1 and base64, for the answer to a WebSocket upgrade; here so that the floor needs no library.
#pragma once

#include <string>
#include <string_view>

namespace mqloop::floor {

std::string sha1(std::string_view message);
std::string base64(std::string_view bytes);

}  // namespace mqloop::floor
