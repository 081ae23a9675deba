// The parts of the plugin auth_file, linked in.
#include "plugins/auth_file/credential_cache.cc"
#include "plugins/auth_file/login_queue.cc"
