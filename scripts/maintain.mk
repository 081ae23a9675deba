# What a developer asks for beside the build itself.
.PHONY: help check check-transports soak fuzz lint format autoconf check-configure clean distclean

define HELP
mqloop: what make can do (./configure comes first; V=1 shows the commands)
  all           libmqloop.so, the programs and the plugins, below build/ (the default)
  check         build and run the quick tests; scripts/check runs every test there is
  check-transports   the system tests by each transport that clients know: TCP, Unix sockets, TLS, WebSocket
  install       install below $(DESTDIR)$(prefix) (DESTDIR is honoured); uninstall takes it away again
  dist          mqloop-$(VERSION).tar.gz from what git has; distcheck builds, tests and installs from it
  soak          kill the broker SOAK_ROUNDS (1000) times with one reactor and with two, and 50 times at each
                failpoint, and note in tests/LEDGER.md what came of it
  failpoints    a broker below build/variants that can be killed at named places; mutants: those that break promises
  fuzz          fuzz each target for FUZZ_SECONDS (600)
  bench         what things cost in instructions, allocations, bytes and system calls, beside the baseline;
                bench-baseline writes that anew; bench-times measures time, on a quiet machine
  man           the manual pages, below build/man
  bench-load    the load generator and its floor, which scripts/bench runs
  lint          clang-tidy, as .clang-tidy says
  format        clang-format every file
  compile_commands.json   for editors and clangd
  autoconf      make configure from configure.ac anew (autoconf 2.71); check-configure compares
  clean         remove build/; distclean also removes what configure wrote
endef
export HELP
help:
	@echo "$$HELP"

# The quick tests: every C++ test binary, and what is true of the source tree as a whole.
check: all tests
	@MQLOOP_BUILD='$(abspath $(B))' $(srcdir)/scripts/run-parts tree $(TEST_AREAS)

# All system tests, by each transport that their clients know.
check-transports: all tests
	@for transport in tcp unix tls websocket wss; do \
	  MQLOOP_BUILD='$(abspath $(B))' $(srcdir)/tests/system/run --transport $$transport || exit 1; done

soak: SOAK_ROUNDS ?= 1000
soak: export MQLOOP_BUILD := $(abspath $(B))
soak: all failpoints
	$(srcdir)/scripts/crash-test --quiet --rounds $(SOAK_ROUNDS) --reactors 1 --ledger
	$(srcdir)/scripts/crash-test --quiet --rounds $(SOAK_ROUNDS) --reactors 2 --ledger
	$(srcdir)/scripts/crash-test --quiet --failpoint all --reached 50 --reactors 2 --ledger
	$(srcdir)/scripts/crash-test --quiet --crash power --rounds 100 --reactors 2 --ledger

fuzz: FUZZ_SECONDS ?= 600
fuzz: fuzz-targets
	@MQLOOP_BUILD='$(abspath $(B))' FUZZ_SECONDS=$(FUZZ_SECONDS) $(srcdir)/tests/fuzz/run

lint: compile_commands.json
	@CLANG_TIDY='$(CLANG_TIDY)' $(srcdir)/scripts/lint $(CURDIR)

format:
	find $(srcdir)/core $(srcdir)/plugins $(srcdir)/tests \( -name '*.h' -o -name '*.cc' \) -print0 | xargs -0 $(CLANG_FORMAT) -i

autoconf:
	$(srcdir)/scripts/make-configure >$(srcdir)/configure.new
	@chmod +x $(srcdir)/configure.new
	@mv $(srcdir)/configure.new $(srcdir)/configure
check-configure:
	@$(srcdir)/scripts/check-configure

# One entry a line, comma first, so that no entry is special but the first.
ALL_SOURCES = $(call sources,core/*/*.cc core/*/*/*.cc plugins/*/*.cc tests/*/*.cc tests/*/*/*.cc)
compile_commands.json: FORCE $(BUILD_INFO)
	@{ separator='['; for file in $(ALL_SOURCES); do \
	  printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -o %s %s"}' "$$separator" '$(CURDIR)' "$$file" \
	    '$(filter-out $(CCACHE) -fno-gnu-unique,$(COMPILE))' /dev/null "$$file"; separator=,; done; printf '\n]\n'; } >$@

clean:
	rm -rf $(B)
distclean: clean
	rm -rf config.mak config.h config.log config.status compile_commands.json
