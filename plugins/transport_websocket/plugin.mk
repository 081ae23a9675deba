# The plugin `transport_websocket` stands on libwebsockets, reads addresses and sockets as the core does, and brings core/tls with it.
transport_websocket_CFLAGS = $(WEBSOCKETS_CFLAGS) $(SSL_CFLAGS) $(LIBEVENT_CFLAGS)
transport_websocket_LIBS = $(WEBSOCKETS_LIBS) $(TLS_LIBS)
transport_websocket_EXTRA_OBJECTS = $(call objects,$(srcdir)/core/event/address_set.cc $(srcdir)/core/event/socket_stream.cc) $(TLS_OBJECTS)
