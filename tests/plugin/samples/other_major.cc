// Built for another major version of the interfaces.
#include <mqloop/plugin.h>

extern "C" MQLOOP_API const mqloop_plugin_block* mqloop_plugin_info() {
  static const mqloop_plugin_block block = {
      MQLOOP_PLUGIN_MAGIC,
      sizeof(mqloop_plugin_block),
      MQLOOP_ABI_MAJOR + 1,
      MQLOOP_ABI_MINOR,
      MQLOOP_BUILD_FLAGS,
      "other_major",
      "1.0",
      "is never created",
      []() -> void* { return nullptr; },
      [](void*) {},
  };
  return &block;
}
