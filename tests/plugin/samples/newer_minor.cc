// Built for a newer minor version of the interfaces.
#include <mqloop/plugin.h>

extern "C" MQLOOP_API const mqloop_plugin_block* mqloop_plugin_info() {
  static const mqloop_plugin_block block = {
      MQLOOP_PLUGIN_MAGIC,
      sizeof(mqloop_plugin_block),
      MQLOOP_ABI_MAJOR,
      MQLOOP_ABI_MINOR + 3,
      MQLOOP_BUILD_FLAGS,
      "newer_minor",
      "1.0",
      "is never created",
      []() -> void* { return nullptr; },
      [](void*) {},
  };
  return &block;
}
