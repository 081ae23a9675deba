// The parts of the plugin transport_websocket, linked in.
#include "plugins/transport_websocket/forwarded_address.cc"
#include "plugins/transport_websocket/frame_tracker.cc"
#include "plugins/transport_websocket/lws_reactor.cc"
#include "plugins/transport_websocket/upgrade.cc"
#include "plugins/transport_websocket/web_socket_stream.cc"
