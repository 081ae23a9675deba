// The parts of the plugin transport_websocket, linked in.
#include "plugins/transport_websocket/client_socket.cc"
#include "plugins/transport_websocket/forwarded_address.cc"
#include "plugins/transport_websocket/frame_reader.cc"
#include "plugins/transport_websocket/frame_sender.cc"
#include "plugins/transport_websocket/lws_reactor.cc"
#include "plugins/transport_websocket/upgrade.cc"
#include "plugins/transport_websocket/web_socket_stream.cc"
