# The plugin `transport_websocket` stands on libwebsockets, and reads addresses as the core does.
transport_websocket_CFLAGS = $(WEBSOCKETS_CFLAGS) $(LIBEVENT_CFLAGS)
transport_websocket_LIBS = $(WEBSOCKETS_LIBS) $(LIBEVENT_LIBS)
transport_websocket_EXTRA_OBJECTS = $(call objects,$(srcdir)/core/event/address_set.cc)
