# A folder plugins/<name> with <name>.cc in it becomes build/plugins/<name>.so, of all its *.cc. Its plugin.mk may set
# <name>_CFLAGS, <name>_LIBS and <name>_EXTRA_OBJECTS. Its tests stand with the others, in tests/.
PLUGIN_NAMES := $(filter-out template $(WITHOUT_PLUGINS),\
  $(foreach name,$(notdir $(patsubst %/,%,$(wildcard $(srcdir)/plugins/*/))),$(if $(wildcard $(srcdir)/plugins/$(name)/$(name).cc),$(name))))
PLUGINS := $(PLUGIN_NAMES:%=$(B)/plugins/%.so)
-include $(PLUGIN_NAMES:%=$(srcdir)/plugins/%/plugin.mk)

plugins: $(PLUGINS)

# A plugin finds libmqloop.so already loaded by its program; its own path serves other programs and the tools.
PLUGIN_RUNPATHS := $$ORIGIN/../lib:$$ORIGIN/../..

define plugin_rule
$(1)_OWN_OBJECTS := $$(call objects,$$(call sources,plugins/$(1)/*.cc))
$(1)_OBJECTS := $$($(1)_OWN_OBJECTS) $$($(1)_EXTRA_OBJECTS)
$$($(1)_OWN_OBJECTS): TARGET_FLAGS := $$($(1)_CFLAGS)
$$($(1)_OBJECTS): | $$(BUILD_INFO)
$$(B)/plugins/$(1).so: $$($(1)_OBJECTS) $$(LIB) $$(B)/link.stamp
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_SHARED) -Wl,-rpath,'$$(PLUGIN_RUNPATHS)' -o $$@ $$($(1)_OBJECTS) -L$$(B)/lib -lmqloop $$($(1)_LIBS) $$(LIBS)
endef
$(foreach name,$(PLUGIN_NAMES),$(eval $(call plugin_rule,$(name))))
