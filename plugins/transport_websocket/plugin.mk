# The plugin `transport_websocket` stands on libwebsockets.
transport_websocket_CFLAGS = $(WEBSOCKETS_CFLAGS) $(LIBEVENT_CFLAGS)
transport_websocket_LIBS = $(WEBSOCKETS_LIBS) $(LIBEVENT_LIBS)
