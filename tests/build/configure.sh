# shellcheck shell=bash disable=SC2154,SC2016,SC2015
# What configure says and does.

test_every_missing_library_is_named_with_its_debian_package_in_one_go() {
  if PKG_CONFIG_LIBDIR=/nonexistent PKG_CONFIG_PATH='' "$top/configure" >out 2>&1; then fail "configure accepted a machine without libraries"; fi
  grep -q 'libevent.*(Debian package: libevent-dev)' out
  grep -q 'yaml-cpp.*(Debian package: libyaml-cpp-dev)' out
  grep -q 'libcrypto.*(Debian package: libssl-dev)' out
  grep -q 'libargon2.*(Debian package: libargon2-dev)' out
  grep -q 'sqlite3.*(Debian package: libsqlite3-dev)' out
  grep -q 'apt-get install libevent-dev libyaml-cpp-dev libssl-dev libargon2-dev libsqlite3-dev$' out
}

test_a_compiler_without_cxx20_is_refused_by_name() {
  printf '#!/bin/sh\nfor word; do [ "$word" = -std=c++20 ] && exit 1; done\nexec g++ "$@"\n' >old-g++
  chmod +x old-g++
  if "$top/configure" CXX="$PWD/old-g++" >out 2>&1; then fail "configure accepted an old compiler"; fi
  grep -q 'C++20.*(Debian package: g++)' out
}

written_by_configure() { (cd "$top" && stat -c '%n %y' Makefile config.* 2>/dev/null); }

test_a_build_outside_of_the_tree_writes_nothing_into_the_tree() {
  before=$(written_by_configure || true)
  "$top/configure" -q >out
  grep -q '^include ' Makefile
  make -s build/obj/core/base/status.o
  diff <(echo "$before") <(written_by_configure || true)
}

test_a_plugin_can_be_left_out() {
  "$top/configure" --without-transport_tcp >out
  grep -q 'transport_tcp: off, as asked (--without-transport_tcp)' out
  make -n plugins >commands
  if grep -q 'plugins/transport_tcp\.so' commands; then fail "transport_tcp is built all the same"; fi
  grep -q 'plugins/publisher_memory\.so' commands
}

test_a_plugin_whose_library_is_missing_is_left_out_with_a_word_about_it() {
  printf '#!/bin/sh\ncase "$*" in *libwebsockets*) exit 1 ;; esac\nexec pkg-config "$@"\n' >pkg-config-without
  chmod +x pkg-config-without
  "$top/configure" PKG_CONFIG="$PWD/pkg-config-without" >out
  grep -q 'transport_websocket: off (no libwebsockets 4.1; Debian package: libwebsockets-dev)' out
  make -n plugins >commands
  if grep -q 'plugins/transport_websocket\.so' commands; then fail "transport_websocket is built all the same"; fi
  printf '#!/bin/sh\ncase "$*" in *libssl*) exit 1 ;; esac\nexec pkg-config "$@"\n' >pkg-config-without-tls
  chmod +x pkg-config-without-tls
  "$top/configure" PKG_CONFIG="$PWD/pkg-config-without-tls" >out-tls
  grep -q 'transport_tls: off (no libssl 3.0 of OpenSSL; Debian package: libssl-dev)' out-tls
  make -n all tests >commands
  if grep -q 'core/tls/\|transport_tls\|unit/tls/' commands; then fail "TLS is built all the same"; fi
  if "$top/configure" PKG_CONFIG="$PWD/pkg-config-without" --with-transport_websocket >out 2>&1; then fail "it was asked for"; fi
  grep -q 'libwebsockets 4.1 (Debian package: libwebsockets-dev)' out
}

test_configure_knows_every_plugin_of_the_tree() {
  known=$(sed -n 's/^m4_define(\[MQ_PLUGINS\], \[\(.*\)\])$/\1/p' "$top/configure.ac" | tr ' ' '\n' | sort)
  there=$(cd "$top/plugins" && for folder in */; do [ "$folder" = template/ ] || echo "${folder%/}"; done | sort)
  diff <(echo "$known") <(echo "$there")
}

test_unconfigured_make_says_what_to_do() {
  printf 'srcdir := %s\ninclude $(srcdir)/Makefile\n' "$top" >Makefile
  if make >out 2>&1; then fail "make without configure did something"; fi
  grep -q 'run ./configure first' out
  make help | found distcheck
}

test_changed_flags_rebuild_and_same_flags_do_not() {
  "$top/configure" -q --disable-ccache >out
  make -s build/obj/core/base/status.o
  make build/obj/core/base/status.o >out
  if grep -q CXX out; then fail "built again for nothing"; fi
  make build/obj/core/base/status.o CXXFLAGS=-O0 >out
  grep -q 'CXX *core/base/status.cc' out
}
