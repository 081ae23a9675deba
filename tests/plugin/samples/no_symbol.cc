// A shared object that is no plugin at all.
#include <mqloop/export.h>

extern "C" MQLOOP_API int no_symbol_of_a_plugin() { return 0; }
