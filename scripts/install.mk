# What `make install` puts where. DESTDIR goes before every path and into no file. `make uninstall` takes away what the
# manifest in $(datadir)/mqloop remembers; scripts/install-tree does the work.
.PHONY: install uninstall dist distcheck

plugin_dir = $(libdir)/mqloop/plugins
share_dir = $(datadir)/mqloop
MANIFEST = $(share_dir)/installed
# $(call install_as,MODE,FOLDER,FILES): each file keeps its name.
install_as = $(foreach file,$(3),'file|$(1)|$(file)|$(2)/$(notdir $(file))')
# $(call install_below,FOLDER,TOP,FILES): each file keeps its path below TOP, and its mode.
install_below = $(foreach file,$(3),'file|$(shell test -x $(file) && echo 755 || echo 644)|$(file)|$(1)/$(patsubst $(2)/%,%,$(file))')

TEMPLATE_FILES = $(shell find $(srcdir)/plugins/template -type f 2>/dev/null)
DOC_FILES = $(wildcard $(srcdir)/README.md $(srcdir)/LICENSE $(srcdir)/CHANGELOG.md $(srcdir)/docs/*.md)
SHIPPED_YAML = $(wildcard $(srcdir)/etc/mqloop.yaml)

# What systemd is told of the service, its account and its folders; nothing with --without-systemdsystemunitdir.
SYSTEMD_FILES = $(if $(systemdsystemunitdir),$(B)/systemd/mqloop.service $(B)/sysusers.d/mqloop.conf $(B)/tmpfiles.d/mqloop.conf)
SYSTEMD_INSTALL_LIST = $(if $(systemdsystemunitdir),\
  $(call install_as,644,$(systemdsystemunitdir),$(B)/systemd/mqloop.service) \
  $(call install_as,644,$(prefix)/lib/sysusers.d,$(B)/sysusers.d/mqloop.conf) \
  $(call install_as,644,$(prefix)/lib/tmpfiles.d,$(B)/tmpfiles.d/mqloop.conf))

# docs/man/NAME.SECTION is a manual page; NAME.SECTION.in becomes one, with the places of the build.
MAN_PAGES = $(patsubst $(srcdir)/docs/man/%,$(B)/man/%,$(patsubst %.in,%,$(wildcard $(srcdir)/docs/man/*.[1-8] $(srcdir)/docs/man/*.in)))

# What scripts/install-tree reads, a word an entry.
INSTALL_LIST = \
  $(call install_as,755,$(sbindir),$(filter %/mqloopd,$(PROGRAMS))) \
  $(call install_as,755,$(bindir),$(filter-out %/mqloopd,$(PROGRAMS))) \
  $(call install_as,644,$(libdir),$(B)/lib/$(LIB_FILE)) \
  'link|$(LIB_FILE)|$(libdir)/$(LIB_SONAME)' 'link|$(LIB_FILE)|$(libdir)/$(LIB_NAME)' \
  $(call install_as,644,$(plugin_dir),$(PLUGINS)) \
  $(call install_below,$(includedir),$(srcdir)/core/include,$(sort $(shell find $(srcdir)/core/include -name '*.h'))) \
  $(call install_as,644,$(libdir)/pkgconfig,$(B)/mqloop.pc) \
  $(call install_as,644,$(share_dir),$(srcdir)/plugins/plugin.mk) \
  $(call install_below,$(share_dir)/template,$(srcdir)/plugins/template,$(TEMPLATE_FILES)) \
  $(call install_as,644,$(docdir),$(DOC_FILES)) \
  $(foreach yaml,$(SHIPPED_YAML),'conf|$(yaml)|$(sysconfdir)/mqloop/mqloop.yaml|$(share_dir)/mqloop.yaml') \
  $(call install_as,644,$(share_dir),$(SHIPPED_YAML)) \
  $(SYSTEMD_INSTALL_LIST) \
  $(foreach page,$(MAN_PAGES),$(call install_as,644,$(mandir)/man$(patsubst .%,%,$(suffix $(page))),$(page))) \
  'dir|700|$(localstatedir)/lib/mqloop' 'dir|750|$(localstatedir)/log/mqloop'

$(B)/mqloop.pc: $(srcdir)/mqloop.pc.in FORCE
	$(call keep_if_same,sed -e 's|@prefix@|$(prefix)|' -e 's|@exec_prefix@|$(exec_prefix)|' \
	  -e 's|@includedir@|$(includedir)|' -e 's|@libdir@|$(libdir)|' -e 's|@datadir@|$(datadir)|' \
	  -e 's|@VERSION@|$(VERSION)|' $<)

# The places of this build, in the files of etc/systemd. systemd's own StateDirectory= is always below /var, so the lines between `#if var` and `#else` are for a localstatedir of /var, those up to `#endif` for others.
places = -e 's|@prefix@|$(prefix)|g' -e 's|@sbindir@|$(sbindir)|g' -e 's|@libdir@|$(libdir)|g' -e 's|@datadir@|$(datadir)|g' \
  -e 's|@sysconfdir@|$(sysconfdir)|g' -e 's|@localstatedir@|$(localstatedir)|g' -e 's|@docdir@|$(docdir)|g'
fill_in = $(call keep_if_same,sed $(if $(filter /var,$(localstatedir)),-e '/^\#if var/d' -e '/^\#else/$(,)/^\#endif/d',\
  -e '/^\#if var/$(,)/^\#else/d' -e '/^\#endif/d') $(places) $<)
, := ,
$(B)/systemd/mqloop.service: $(srcdir)/etc/systemd/mqloop.service.in FORCE
	$(fill_in)
$(B)/sysusers.d/mqloop.conf: $(srcdir)/etc/systemd/mqloop.sysusers.in FORCE
	$(fill_in)
$(B)/tmpfiles.d/mqloop.conf: $(srcdir)/etc/systemd/mqloop.tmpfiles.in FORCE
	$(fill_in)

# The options in mqloop.yaml(5) are those of the program.
$(B)/man/%: $(srcdir)/docs/man/%.in $(B)/bin/mqloopd FORCE
	@mkdir -p $(@D)
	@$(B)/bin/mqloopd --print-manual >$@.options
	$(call keep_if_same,sed $(places) -e '/^@OPTIONS@$$/{' -e 'r $@.options' -e 'd' -e '}' $<)
	@rm $@.options

$(B)/man/%: $(srcdir)/docs/man/% FORCE
	$(call keep_if_same,cat $<)

.PHONY: man
man: $(MAN_PAGES)

install: all $(B)/mqloop.pc $(SYSTEMD_FILES) $(MAN_PAGES)
	$(Q)printf '%s\n' $(INSTALL_LIST) | DESTDIR='$(DESTDIR)' $(srcdir)/scripts/install-tree install '$(MANIFEST)'
	@echo '  installed below $(DESTDIR)$(prefix); the configuration is $(DESTDIR)$(sysconfdir)/mqloop/mqloop.yaml'

uninstall:
	$(Q)DESTDIR='$(DESTDIR)' $(srcdir)/scripts/install-tree uninstall '$(MANIFEST)'

DIST := mqloop-$(VERSION)
# From what git has at HEAD, with one time stamp, so that two people make the same bytes.
dist:
	$(Q)git -C $(srcdir) archive --format=tar --prefix=$(DIST)/ HEAD | gzip -9n >$(DIST).tar.gz
	@echo '  made $(DIST).tar.gz from HEAD'

distcheck: dist
	$(Q)$(srcdir)/scripts/distcheck $(DIST).tar.gz $(abspath $(B))/distcheck
