# libmqloop.so is every core/<module>/*.cc except core/cli, core/password, core/store and core/tls. A program is core/cli/<program>.cc with the files
# that are its alone, core/cli/<program>/*.cc.
LIB_SOURCES := $(filter-out $(srcdir)/core/cli/% $(srcdir)/core/password/% $(srcdir)/core/store/% $(srcdir)/core/tls/%,$(call sources,core/*/*.cc))
LIB_OBJECTS := $(call objects,$(LIB_SOURCES))
LIB_NAME := libmqloop.so
LIB_SONAME := $(LIB_NAME).$(ABI_MAJOR)
LIB_FILE := $(LIB_NAME).$(VERSION)
LIB := $(B)/lib/$(LIB_NAME)

# Linked into what reads or writes password files, so that nobody else needs libcrypto and libargon2 for it.
PASSWORD_SOURCES := $(call sources,core/password/*.cc)
PASSWORD_OBJECTS := $(call objects,$(PASSWORD_SOURCES))
PASSWORD_LIBS = $(CRYPTO_LIBS) $(ARGON2_LIBS)
$(PASSWORD_OBJECTS): TARGET_FLAGS = $(CRYPTO_CFLAGS) $(ARGON2_CFLAGS)

# Linked into what reads or writes a broker's database, so that nobody else needs SQLite.
STORE_SOURCES := $(call sources,core/store/*.cc)
STORE_OBJECTS := $(call objects,$(STORE_SOURCES))
STORE_LIBS = $(SQLITE_LIBS)
$(STORE_OBJECTS): TARGET_FLAGS = $(SQLITE_CFLAGS)

# Linked into the transports that speak TLS, so that nobody else needs OpenSSL's libssl. Two of them have two copies,
# which share nothing: all that there is of it hangs on a listener.
TLS_SOURCES := $(call sources,core/tls/*.cc)
TLS_OBJECTS := $(call objects,$(TLS_SOURCES))
TLS_LIBS = $(SSL_LIBS) $(CRYPTO_LIBS) $(LIBEVENT_LIBS)
$(TLS_OBJECTS): TARGET_FLAGS = $(SSL_CFLAGS) $(CRYPTO_CFLAGS) $(LIBEVENT_CFLAGS)

mqloop_EXTRA_OBJECTS := $(PASSWORD_OBJECTS) $(STORE_OBJECTS)
mqloop_EXTRA_LIBS = $(PASSWORD_LIBS) $(STORE_LIBS)

PROGRAM_SOURCES := $(call sources,core/cli/*.cc)
PROGRAMS := $(patsubst $(srcdir)/core/cli/%.cc,$(B)/bin/%,$(PROGRAM_SOURCES))

# From where a program stands to where the library and the plugins stand, in the build tree and when installed.
from_to = $(if $(1),$(shell realpath -m --relative-to='$(1)' '$(2)'))
LIB_FROM_PROGRAM := $(call from_to,$(sbindir),$(libdir))
DATA_FROM_PROGRAM := $(call from_to,$(sbindir),$(localstatedir))
LIB_FROM_TOOL := $(call from_to,$(bindir),$(libdir))
DAEMON_FROM_TOOL := $(call from_to,$(bindir),$(sbindir)/mqloopd)
TEMPLATE_FROM_TOOL := $(call from_to,$(bindir),$(datadir)/mqloop/template)
RUNPATHS := $(subst $() ,:,$(sort $$ORIGIN/../lib $$ORIGIN/$(LIB_FROM_PROGRAM) $$ORIGIN/$(LIB_FROM_TOOL)))

lib: $(LIB)
programs: $(PROGRAMS)

$(B)/lib/$(LIB_FILE): $(LIB_OBJECTS) $(B)/link.stamp
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK_SHARED) -Wl,-soname,$(LIB_SONAME) -Wl,--exclude-libs,ALL -o $@ $(LIB_OBJECTS) $(LIBRARY_LIBS) $(LIBS)

$(LIB): $(B)/lib/$(LIB_FILE)
	@ln -sf $(LIB_FILE) $(B)/lib/$(LIB_SONAME)
	@ln -sf $(LIB_FILE) $@

# What the code may know of this build; a fact of the machine belongs into config.h instead.
BUILD_INFO := $(B)/generated/core/base/build_info.h
define BUILD_INFO_TEXT
// Made by core/module.mk from what configure was told: names and places of this build. Places are where things will
// be installed; a program prefers what stands beside itself, so that a moved tree works.
#pragma once

namespace mqloop::build {

inline constexpr char kVersion[] = "$(VERSION)";
// From the folder of a program to the folder of the plugins: in the build tree, then installed.
inline constexpr char kBuildPluginsFromProgram[] = "../plugins";
inline constexpr char kPluginsFromProgram[] = "$(LIB_FROM_PROGRAM)/mqloop/plugins";
// From the folder of the tool to mqloopd and to the template of a plugin, likewise.
inline constexpr char kBuildDaemonFromTool[] = "mqloopd";
inline constexpr char kDaemonFromTool[] = "$(DAEMON_FROM_TOOL)";
inline constexpr char kBuildTemplateFromTool[] = "../../plugins/template";
inline constexpr char kTemplateFromTool[] = "$(TEMPLATE_FROM_TOOL)";
inline constexpr char kConfigFile[] = "$(sysconfdir)/mqloop/mqloop.yaml";
inline constexpr char kDataFromProgram[] = "$(DATA_FROM_PROGRAM)/lib/mqloop";

}  // namespace mqloop::build
endef
export BUILD_INFO_TEXT
$(BUILD_INFO): FORCE
	$(call keep_if_same,printf '%s\n' "$$BUILD_INFO_TEXT")
# Order only: -MMD tells who includes it.
$(LIB_OBJECTS) $(call objects,$(PROGRAM_SOURCES)): | $(BUILD_INFO)

define program_rule
$(1)_OBJECTS := $$(call objects,$$(srcdir)/core/cli/$(1).cc $$(call sources,core/cli/$(1)/*.cc)) $$($(1)_EXTRA_OBJECTS)
$$($(1)_OBJECTS): | $$(BUILD_INFO)
$$(B)/bin/$(1): $$($(1)_OBJECTS) $$(LIB) $$(B)/link.stamp
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_PROGRAM) -Wl,-rpath,'$$(RUNPATHS)' -o $$@ $$($(1)_OBJECTS) -L$$(B)/lib -lmqloop $$($(1)_EXTRA_LIBS) \
	  $$(LIBRARY_LIBS) $$(LIBS)
endef
$(foreach program,$(notdir $(PROGRAMS)),$(eval $(call program_rule,$(program))))
