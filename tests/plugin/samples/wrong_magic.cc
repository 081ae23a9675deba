// Says that it is something else.
#include <mqloop/plugin.h>

extern "C" MQLOOP_API const mqloop_plugin_block* mqloop_plugin_info() {
  static const mqloop_plugin_block block = {
      0x0123456789abcdef,
      sizeof(mqloop_plugin_block),
      MQLOOP_ABI_MAJOR,
      MQLOOP_ABI_MINOR,
      MQLOOP_BUILD_FLAGS,
      "wrong_magic",
      "1.0",
      "is never created",
      []() -> void* { return nullptr; },
      [](void*) {},
  };
  return &block;
}
