# The plugin `transport_tls` brings core/tls with it.
transport_tls_CFLAGS = $(SSL_CFLAGS) $(LIBEVENT_CFLAGS)
transport_tls_LIBS = $(TLS_LIBS)
transport_tls_EXTRA_OBJECTS = $(TLS_OBJECTS)
