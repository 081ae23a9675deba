# How a file is compiled and how a thing is linked: the flags, the two recipes, and the stamps that rebuild when they change.
# `make V=1` shows the commands.
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2))

sanitizing := $(filter-out no,$(SANITIZE))
SANITIZE_FLAGS := $(if $(sanitizing),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COVERAGE_FLAGS := $(if $(filter yes,$(COVERAGE)),--coverage)
FAILPOINT_FLAGS := $(if $(filter yes,$(FAILPOINTS)),-DMQLOOP_FAILPOINTS)
# _FORTIFY_SOURCE needs an optimiser and gets in a sanitizer's way.
FORTIFY_FLAGS := $(if $(sanitizing)$(filter -O0,$(CXXFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# No binary may tell where it was built, and __FILE__ starts at the top of the tree.
PREFIX_MAP_FLAGS := -ffile-prefix-map=$(abspath $(srcdir))/= -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(srcdir)/=

STANDARD_FLAGS := -std=c++20 -Wall -Wextra -Wshadow -fvisibility=hidden -fPIC -pthread -fno-gnu-unique \
  -fstack-protector-strong
INCLUDE_FLAGS := -I. -I$(B)/generated -I$(srcdir)/core/include -I$(srcdir)
LIBRARY_CFLAGS = $(LIBEVENT_CFLAGS) $(YAML_CFLAGS)
LIBRARY_LIBS = $(LIBEVENT_LIBS) $(YAML_LIBS) -ldl

# $(COMPILE) [more flags] -o OBJECT SOURCE
COMPILE = $(CCACHE) $(CXX) $(INCLUDE_FLAGS) $(FORTIFY_FLAGS) $(CPPFLAGS) $(LIBRARY_CFLAGS) $(STANDARD_FLAGS) \
  $(SANITIZE_FLAGS) $(COVERAGE_FLAGS) $(FAILPOINT_FLAGS) $(PREFIX_MAP_FLAGS) $(CXXFLAGS) -MMD -MP -c
HARDEN_FLAGS := -Wl,-z,relro -Wl,-z,now
LINK = $(CXX) $(SANITIZE_FLAGS) $(COVERAGE_FLAGS) -pthread $(HARDEN_FLAGS) $(CXXFLAGS) $(LDFLAGS)
# A sanitizer's runtime is defined by the program only.
LINK_SHARED = $(LINK) -shared $(if $(sanitizing),,-Wl,-z,defs)
LINK_PROGRAM = $(LINK) -pie

# $(call keep_if_same,COMMAND): writes the target anew only when COMMAND prints something else than it holds.
keep_if_same = @mkdir -p $(@D); { $(1); } >$@.new; if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(B)/compile.stamp: FORCE
	$(call keep_if_same,printf '%s\n' '$(COMPILE)'; $(CXX) --version)
$(B)/link.stamp: FORCE
	$(call keep_if_same,printf '%s\n' '$(LINK)' '$(LIBRARY_LIBS)' '$(PASSWORD_LIBS)' '$(STORE_LIBS)' '$(TLS_LIBS)' '$(RUNPATHS)' '$(LIBS)')

$(B)/obj/%.o: $(srcdir)/%.cc $(B)/compile.stamp
	$(call say,CXX,$*.cc)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(TARGET_FLAGS) -MF $(@:.o=.d) -o $@ $<

# $(call objects,SOURCES): the objects of these sources. $(call sources,PATTERNS): the files that match, below srcdir.
objects = $(patsubst $(srcdir)/%.cc,$(B)/obj/%.o,$(1))
sources = $(sort $(wildcard $(addprefix $(srcdir)/,$(1))))

# What was built before knows its headers.
-include $(wildcard $(B)/obj/*/*.d $(B)/obj/*/*/*.d $(B)/obj/*/*/*/*.d)
