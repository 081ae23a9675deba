// The magic block: the one thing that a plugin's shared object exports, in plain C, so that the host can read and
// refuse it before any C++ call. Fields are only ever added at the end.
#pragma once

#include <stdint.h>

// Says «this is an mqloop plugin»: the bytes "mqloop\n\1" read as a little-endian number.
#define MQLOOP_PLUGIN_MAGIC UINT64_C(0x010a706f6f6c716d)

// Major: an incompatible change of <mqloop/...>. Minor: virtual functions or fields were added at the end; a plugin
// built for a lower minor still loads.
#define MQLOOP_ABI_MAJOR UINT32_C(1)
#define MQLOOP_ABI_MINOR UINT32_C(0)

// How it was built, where that changes layouts or runtimes. Host and plugin must agree on every bit.
#define MQLOOP_BUILD_CXX11_ABI UINT32_C(0x1)
#define MQLOOP_BUILD_ASAN UINT32_C(0x2)
#define MQLOOP_BUILD_TSAN UINT32_C(0x4)
#define MQLOOP_BUILD_GLIBCXX_DEBUG UINT32_C(0x8)

#if defined(__SANITIZE_ADDRESS__)
#define MQLOOP_BUILD_FLAG_ASAN MQLOOP_BUILD_ASAN
#else
#define MQLOOP_BUILD_FLAG_ASAN UINT32_C(0)
#endif
#if defined(__SANITIZE_THREAD__)
#define MQLOOP_BUILD_FLAG_TSAN MQLOOP_BUILD_TSAN
#else
#define MQLOOP_BUILD_FLAG_TSAN UINT32_C(0)
#endif
#if defined(_GLIBCXX_USE_CXX11_ABI) && _GLIBCXX_USE_CXX11_ABI
#define MQLOOP_BUILD_FLAG_CXX11 MQLOOP_BUILD_CXX11_ABI
#else
#define MQLOOP_BUILD_FLAG_CXX11 UINT32_C(0)
#endif
#if defined(_GLIBCXX_DEBUG)
#define MQLOOP_BUILD_FLAG_DEBUG MQLOOP_BUILD_GLIBCXX_DEBUG
#else
#define MQLOOP_BUILD_FLAG_DEBUG UINT32_C(0)
#endif
#define MQLOOP_BUILD_FLAGS \
  (MQLOOP_BUILD_FLAG_ASAN | MQLOOP_BUILD_FLAG_TSAN | MQLOOP_BUILD_FLAG_CXX11 | MQLOOP_BUILD_FLAG_DEBUG)

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mqloop_plugin_block {
  uint64_t magic;
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t build_flags;
  const char* name;       // as in the configuration: "auth_badge"
  const char* version;    // the plugin's own
  const char* summary;    // one line
  void* (*create)(void);  // a new mqloop::Plugin; may throw
  void (*destroy)(void*);
} mqloop_plugin_block;

// The exported symbol's name and type.
#define MQLOOP_PLUGIN_SYMBOL "mqloop_plugin_info"
typedef const mqloop_plugin_block* (*mqloop_plugin_function)(void);

#ifdef __cplusplus
}
#endif
