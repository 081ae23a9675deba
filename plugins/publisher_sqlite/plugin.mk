# The plugin `publisher_sqlite` brings core/store with it.
publisher_sqlite_CFLAGS = $(SQLITE_CFLAGS)
publisher_sqlite_LIBS = $(STORE_LIBS)
publisher_sqlite_EXTRA_OBJECTS = $(STORE_OBJECTS)
