// The plugin acl_file, linked in: its tests, and those that want a broker with real rules.
#define MQLOOP_BUILTIN
#include "plugins/acl_file/acl_file.cc"
#include "plugins/acl_file/acl_text.cc"
#include "plugins/acl_file/policy.cc"
#include "plugins/acl_file/rule_set.cc"
