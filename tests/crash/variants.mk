# Brokers that are meant to fail, each below build/variants/<name>/ with programs, library and plugins, and made of the
# objects of the ordinary build but for those that differ:
#   failpoints   can be killed at the places that MQLOOP_FAILPOINT names (core/base/failpoint.h)
#   <mutant>     breaks a promise as tests/crash/mutants/<mutant>.patch says, which changes *.cc only
MUTANTS := $(patsubst $(srcdir)/tests/crash/mutants/%.patch,%,$(wildcard $(srcdir)/tests/crash/mutants/*.patch))
VARIANTS := $(B)/variants

# $(1): the variant; the sources that are compiled for it stand in $(1)_SOURCES, named from the top of the tree.
define variant_rules
$(1)_OWN := $$($(1)_SOURCES:%.cc=$(VARIANTS)/$(1)/obj/%.o)
# Of these objects, and the variant's own in place of some.
$(1)_of = $$(foreach object,$$(1),$$(or $$(filter $$(object:$(B)/obj/%=$(VARIANTS)/$(1)/obj/%),$$($(1)_OWN)),$$(object)))

.PHONY: $(1)
$(1): $$(PROGRAMS:$(B)/%=$(VARIANTS)/$(1)/%) $$(PLUGINS:$(B)/%=$(VARIANTS)/$(1)/%)

$(VARIANTS)/$(1)/lib/$(LIB_NAME): $$(call $(1)_of,$$(LIB_OBJECTS)) $(B)/link.stamp
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_SHARED) -Wl,-soname,$(LIB_SONAME) -Wl,--exclude-libs,ALL -o $$@ $$(filter %.o,$$^) $$(LIBRARY_LIBS) $$(LIBS)
	@ln -sf $(LIB_NAME) $$(@D)/$(LIB_SONAME)

$(foreach program,$(notdir $(PROGRAMS)),$(call variant_program,$(1),$(program))
)
$(foreach plugin,$(PLUGIN_NAMES),$(call variant_plugin,$(1),$(plugin))
)
endef

define variant_program
$(VARIANTS)/$(1)/bin/$(2): $$(call $(1)_of,$$($(2)_OBJECTS)) $(VARIANTS)/$(1)/lib/$(LIB_NAME)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_PROGRAM) -Wl,-rpath,'$$(RUNPATHS)' -o $$@ $$(filter %.o,$$^) -L$(VARIANTS)/$(1)/lib -lmqloop \
	  $$($(2)_EXTRA_LIBS) $$(LIBRARY_LIBS) $$(LIBS)
endef

define variant_plugin
$(VARIANTS)/$(1)/plugins/$(2).so: $$(call $(1)_of,$$($(2)_OBJECTS)) $(VARIANTS)/$(1)/lib/$(LIB_NAME)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_SHARED) -Wl,-rpath,'$$(PLUGIN_RUNPATHS)' -o $$@ $$(filter %.o,$$^) -L$(VARIANTS)/$(1)/lib -lmqloop \
	  $$($(2)_LIBS) $$(LIBS)
endef

# What is compiled here may be any module's or plugin's.
$(VARIANTS)/%.o: TARGET_FLAGS = $(sort $(CRYPTO_CFLAGS) $(ARGON2_CFLAGS) $(foreach name,$(PLUGIN_NAMES),$($(name)_CFLAGS)))

failpoints_SOURCES := $(patsubst $(srcdir)/%,%,$(shell grep -rl --include='*.cc' '^\#include "core/base/failpoint\.h"' \
  $(srcdir)/core $(srcdir)/plugins))
$(eval $(call variant_rules,failpoints))
$(VARIANTS)/failpoints/obj/%.o: $(srcdir)/%.cc $(B)/compile.stamp | $(BUILD_INFO)
	$(call say,CXX,$*.cc with failpoints)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(TARGET_FLAGS) -DMQLOOP_FAILPOINTS -MF $(@:.o=.d) -o $@ $<
-include $(failpoints_OWN:.o=.d)

define mutant_rules
$(1)_SOURCES := $$(shell sed -n 's,^--- a/,,p' $(srcdir)/tests/crash/mutants/$(1).patch)
$(call variant_rules,$(1))
$(VARIANTS)/$(1)/patched: $(srcdir)/tests/crash/mutants/$(1).patch $$($(1)_SOURCES:%=$(srcdir)/%)
	$$(call say,PATCH,$(1))
	@rm -rf $(VARIANTS)/$(1)/src
	@for file in $$($(1)_SOURCES); do install -D -m 644 $(srcdir)/$$$$file $(VARIANTS)/$(1)/src/$$$$file || exit 1; done
	$$(Q)patch -s -p1 --force --fuzz=2 -d $(VARIANTS)/$(1)/src <$$<
	@touch $$@
$$($(1)_OWN): $(VARIANTS)/$(1)/obj/%.o: $(VARIANTS)/$(1)/patched $(B)/compile.stamp | $(BUILD_INFO)
	$$(call say,CXX,$$*.cc of the mutant $(1))
	@mkdir -p $$(@D)
	$$(Q)$$(COMPILE) $$(TARGET_FLAGS) -iquote $(srcdir)/$$(dir $$*) -MF $$(@:.o=.d) -o $$@ $(VARIANTS)/$(1)/src/$$*.cc
-include $$($(1)_OWN:.o=.d)
endef
$(foreach mutant,$(MUTANTS),$(eval $(call mutant_rules,$(mutant))))

.PHONY: mutants
mutants: $(MUTANTS)
