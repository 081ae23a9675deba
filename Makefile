# The way in: what is built from what stands in core/module.mk, plugins/plugins.mk and tests/tests.mk, each found by
# wildcard, so a new file needs no line here. What configure found out stands in config.mak. Start with `make help`.
srcdir ?= .
B := build

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# These work in a tree that is not configured.
UNCONFIGURED_GOALS := help autoconf check-configure
ifneq ($(filter-out $(UNCONFIGURED_GOALS),$(or $(MAKECMDGOALS),all)),)
ifeq ($(wildcard config.mak),)
$(error Not configured yet: run ./configure first (./configure --help tells the choices))
endif
include config.mak
# A newer configure is run again with the same choices, before anything is built.
config.mak: $(srcdir)/configure $(srcdir)/config.mak.in $(srcdir)/config.h.in
	./config.status --recheck && ./config.status
endif

include $(srcdir)/scripts/flags.mk
include $(srcdir)/core/module.mk
include $(srcdir)/plugins/plugins.mk
include $(srcdir)/tests/tests.mk
include $(srcdir)/scripts/install.mk
include $(srcdir)/scripts/maintain.mk

.PHONY: all lib programs plugins FORCE
all: lib programs plugins

FORCE:
