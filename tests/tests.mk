# tests/unit/**.cc becomes one binary, build/tests/unit; so does every other folder tests/<area> that holds *.cc. Each is
# linked with the objects of libmqloop itself (not the library: hidden names must be reachable), with tests/support/*.cc
# and with tests/unit/main.cc, unless the folder has a main.cc of its own. tests/<area>/samples/<name>.cc are shared
# objects for that area, build/tests/samples/<name>.so. tests/fuzz/<name>_fuzz.cc becomes build/fuzz/<name>, and
# tests/bench/<name>.cc, a program that measures, build/bench/<name>. TEST_FILES='tests/unit/...' builds of these only.
# What tests the plugin transport_websocket is left out where that is.
WEBSOCKET_TESTS := $(if $(filter transport_websocket,$(WITHOUT_PLUGINS)),$(srcdir)/tests/support/transport_websocket.cc \
  $(srcdir)/tests/unit/transport_websocket/% $(srcdir)/tests/fuzz/websocket_fuzz.cc)
# And so what tests TLS.
HAS_TLS := $(if $(filter transport_tls,$(WITHOUT_PLUGINS)),,yes)
TLS_TESTS := $(if $(HAS_TLS),,$(srcdir)/tests/unit/tls/%)
TEST_TLS_OBJECTS := $(if $(HAS_TLS),$(TLS_OBJECTS))
TEST_TLS_LIBS = $(if $(HAS_TLS),$(TLS_LIBS))
TEST_SUPPORT_SOURCES := $(filter-out $(WEBSOCKET_TESTS),$(call sources,tests/support/*.cc))
TEST_SUPPORT_OBJECTS := $(call objects,$(TEST_SUPPORT_SOURCES))
TEST_AREAS := $(filter-out bench fuzz support,$(sort $(foreach file,$(filter-out $(call sources,tests/*/samples/*.cc),\
  $(call sources,tests/*/*.cc tests/*/*/*.cc)),$(firstword $(subst /, ,$(patsubst $(srcdir)/tests/%,%,$(file)))))))
TEST_BINARIES := $(TEST_AREAS:%=$(B)/tests/%)
TEST_SAMPLES := $(foreach file,$(call sources,tests/*/samples/*.cc),$(B)/tests/samples/$(basename $(notdir $(file))).so)

.PHONY: tests fuzz-targets
tests: $(TEST_BINARIES) $(TEST_SAMPLES)

define test_rule
$(1)_TEST_SOURCES := $$(filter-out $$(WEBSOCKET_TESTS) $$(TLS_TESTS) $$(srcdir)/tests/$(1)/samples/%,\
  $$(filter $$(or $$(TEST_FILES:%=$$(srcdir)/%),%),$$(call sources,tests/$(1)/*.cc tests/$(1)/*/*.cc)))
$(1)_MAIN := $$(firstword $$(wildcard $$(srcdir)/tests/$(1)/main.cc) $$(srcdir)/tests/unit/main.cc)
$(1)_TEST_OBJECTS := $$(call objects,$$(sort $$($(1)_TEST_SOURCES) $$($(1)_MAIN)))
$$(B)/tests/$(1): $$($(1)_TEST_OBJECTS) $$(TEST_SUPPORT_OBJECTS) $$(LIB_OBJECTS) $$(PASSWORD_OBJECTS) $$(STORE_OBJECTS) \
  $$(TEST_TLS_OBJECTS) $$(B)/link.stamp
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_PROGRAM) -rdynamic -Wl,-rpath,'$$$$ORIGIN/../lib' -o $$@ $$(filter %.o,$$^) $$(CPPUTEST_LIBS) $$(PASSWORD_LIBS) \
	  $$(STORE_LIBS) $$(TEST_TLS_LIBS) $$(WEBSOCKETS_LIBS) $$(LIBRARY_LIBS) $$(LIBS)
endef
$(foreach area,$(TEST_AREAS),$(eval $(call test_rule,$(area))))
$(B)/obj/tests/%.o: TARGET_FLAGS = $(CPPUTEST_CFLAGS) $(CRYPTO_CFLAGS) $(ARGON2_CFLAGS) $(SQLITE_CFLAGS) \
  $(WEBSOCKETS_CFLAGS) $(SSL_CFLAGS)
$(B)/obj/tests/%.o: | $(BUILD_INFO)

define sample_rule
$$(B)/tests/samples/$(basename $(notdir $(1))).so: $$(call objects,$(1)) $$(LIB) $$(B)/link.stamp
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_SHARED) -Wl,-rpath,'$$$$ORIGIN/../../lib' -o $$@ $$< -L$$(B)/lib -lmqloop $$(LIBS)
endef
$(foreach file,$(call sources,tests/*/samples/*.cc),$(eval $(call sample_rule,$(file))))

# --- benchmarks: *_figures.cc count (tests/bench/run compares), *_bench.cc measure time and are run by hand ---
BENCHES := $(patsubst $(srcdir)/tests/bench/%.cc,$(B)/bench/%,$(call sources,tests/bench/*.cc))
FIGURES := $(filter %_figures,$(BENCHES))
.PHONY: bench bench-baseline bench-programs bench-times
bench-programs: $(FIGURES)
bench: $(FIGURES)
	@MQLOOP_BUILD='$(abspath $(B))' $(srcdir)/tests/bench/run --show
bench-baseline: $(FIGURES)
	@MQLOOP_BUILD='$(abspath $(B))' $(srcdir)/tests/bench/run --record
bench-times: $(filter %_bench,$(BENCHES))
	@for bench in $^; do echo "== $$bench"; $$bench || exit 1; done
$(FIGURES): $(call objects,$(call sources,tests/bench/support/*.cc))
$(BENCHES): $(B)/bench/%: $(B)/obj/tests/bench/%.o $(LIB_OBJECTS) $(STORE_OBJECTS) $(B)/link.stamp
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK_PROGRAM) -rdynamic -o $@ $(filter %.o,$^) $(STORE_LIBS) $(LIBRARY_LIBS) $(LIBS)

# --- load: tests/bench/load/*.cc is a load generator, tests/bench/floor/*.cc the least that a relay can cost; scripts/bench
# runs them. They know nothing of the library.
LOAD_PROGRAMS := $(B)/bench/load $(B)/bench/floor
.PHONY: bench-load
bench-load: $(LOAD_PROGRAMS)
tests: $(LOAD_PROGRAMS)
define load_rule
$(1): $$(call objects,$$(call sources,tests/bench/$$(notdir $(1))/*.cc)) $$(B)/link.stamp
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK_PROGRAM) -o $$@ $$(filter %.o,$$^) $$(LIBS)
endef
$(foreach program,$(LOAD_PROGRAMS),$(eval $(call load_rule,$(program))))

# --- fuzzing: clang's libFuzzer, with its own objects of the whole core ---
FUZZ_NAMES := $(patsubst $(srcdir)/tests/fuzz/%_fuzz.cc,%,$(filter-out $(WEBSOCKET_TESTS),$(call sources,tests/fuzz/*_fuzz.cc)))
FUZZ_BINARIES := $(FUZZ_NAMES:%=$(B)/fuzz/%)
FUZZ_SANITIZERS := address,undefined
FUZZ_COMPILE = $(CCACHE) $(CLANGXX) $(INCLUDE_FLAGS) $(LIBRARY_CFLAGS) $(CRYPTO_CFLAGS) $(ARGON2_CFLAGS) $(SQLITE_CFLAGS) $(WEBSOCKETS_CFLAGS) -std=c++20 -O1 -g -pthread -fPIC \
  -fsanitize=$(FUZZ_SANITIZERS),fuzzer-no-link -fno-sanitize-recover=all $(PREFIX_MAP_FLAGS) -MMD -MP -c
FUZZ_LIB_OBJECTS := $(patsubst $(srcdir)/%.cc,$(B)/fuzz/obj/%.o,$(LIB_SOURCES) $(PASSWORD_SOURCES) $(STORE_SOURCES) \
  $(TEST_SUPPORT_SOURCES))

fuzz-targets: $(FUZZ_BINARIES)

$(B)/fuzz/compile.stamp: FORCE
	$(call keep_if_same,printf '%s\n' '$(FUZZ_COMPILE)')
$(B)/fuzz/obj/%.o: $(srcdir)/%.cc $(B)/fuzz/compile.stamp | $(BUILD_INFO)
	$(call say,FUZZCXX,$*.cc)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_COMPILE) -MF $(@:.o=.d) -o $@ $<
$(B)/fuzz/libmqloop.a: $(FUZZ_LIB_OBJECTS)
	@rm -f $@
	$(Q)ar rcs $@ $^
$(FUZZ_BINARIES): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%_fuzz.o $(B)/fuzz/libmqloop.a
	$(call say,LINK,$@)
	$(Q)$(CLANGXX) -fsanitize=$(FUZZ_SANITIZERS),fuzzer -pthread -o $@ $^ $(PASSWORD_LIBS) $(STORE_LIBS) $(WEBSOCKETS_LIBS) $(LIBRARY_LIBS) $(LIBS)
-include $(wildcard $(B)/fuzz/obj/*/*/*.d)
.SECONDARY: $(FUZZ_NAMES:%=$(B)/fuzz/obj/tests/fuzz/%_fuzz.o)

include $(srcdir)/tests/crash/variants.mk
