# Builds a plugin for mqloop outside of mqloop's tree. A plugin's Makefile is three variables and one include:
#
#   PLUGIN   = auth_badge            # the name of the shared object, and of the plugin in mqloop.yaml
#   SOURCES  = auth_badge.cc         # its sources
#   PACKAGES =                       # what else it uses, as pkg-config names
#   include $(shell pkg-config --variable=pluginmk mqloop)
#
# Goals: all, check (runs every *_test.cc, a CppUTest program or any other, linked with the plugin's sources), install
# (into mqloop's plugin folder, DESTDIR is honoured), clean. CXX, CXXFLAGS and LDFLAGS are yours.
# Where mqloop is not installed in a place that pkg-config searches: export PKG_CONFIG_PATH=<prefix>/lib/pkgconfig
PKG_CONFIG ?= pkg-config
ifneq ($(shell $(PKG_CONFIG) --exists mqloop && echo yes),yes)
$(error pkg-config does not find mqloop: set PKG_CONFIG_PATH to the folder of mqloop.pc)
endif

CXXFLAGS ?= -O2 -g -Wall -Wextra
SOURCES ?= $(PLUGIN).cc
TESTS ?= $(wildcard *_test.cc)
TEST_PACKAGES ?= $(shell $(PKG_CONFIG) --exists cpputest && echo cpputest)

plugin_flags := -std=c++20 -fPIC -fvisibility=hidden -fno-gnu-unique -pthread -MMD -MP \
  $(shell $(PKG_CONFIG) --cflags mqloop $(PACKAGES))
plugin_libs := $(shell $(PKG_CONFIG) --libs mqloop $(PACKAGES))
plugin_libdir := $(shell $(PKG_CONFIG) --variable=libdir mqloop)
plugin_dir := $(shell $(PKG_CONFIG) --variable=plugindir mqloop)
# Tests link the plugin in: its entry then has a name of its own instead of the exported one.
test_flags := -DMQLOOP_BUILTIN $(if $(TEST_PACKAGES),$(shell $(PKG_CONFIG) --cflags $(TEST_PACKAGES)))
test_libs := $(if $(TEST_PACKAGES),$(shell $(PKG_CONFIG) --libs $(TEST_PACKAGES)))
plugin_objects := $(SOURCES:%.cc=%.o)
builtin_objects := $(SOURCES:%.cc=%.builtin.o)
test_programs := $(TESTS:%.cc=%)

.PHONY: all check install clean
all: $(PLUGIN).so

$(PLUGIN).so: $(plugin_objects)
	$(CXX) -shared -pthread -Wl,-z,defs -Wl,-z,relro -Wl,-z,now $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(plugin_libs)
$(plugin_objects): %.o: %.cc
	$(CXX) $(plugin_flags) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

check: all $(test_programs)
	@for test in $(test_programs); do ./$$test || exit 1; done
$(builtin_objects) $(test_programs:%=%.builtin.o): %.builtin.o: %.cc
	$(CXX) $(plugin_flags) $(test_flags) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<
$(test_programs): %: %.builtin.o $(builtin_objects)
	$(CXX) -pthread $(CXXFLAGS) $(LDFLAGS) -Wl,-rpath,$(plugin_libdir) -o $@ $^ $(plugin_libs) $(test_libs)

install: all
	install -d $(DESTDIR)$(plugin_dir)
	install -m 644 $(PLUGIN).so $(DESTDIR)$(plugin_dir)/$(PLUGIN).so

clean:
	rm -f $(PLUGIN).so $(test_programs) *.o *.d

-include $(wildcard *.d)
