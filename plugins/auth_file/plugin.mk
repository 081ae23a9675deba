# The plugin `auth_file` brings what it needs of core/password with it.
auth_file_CFLAGS = $(CRYPTO_CFLAGS)
auth_file_LIBS = $(PASSWORD_LIBS)
auth_file_EXTRA_OBJECTS = $(PASSWORD_OBJECTS)
