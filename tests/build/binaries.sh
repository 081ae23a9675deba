# shellcheck shell=bash disable=SC2154,SC2016,SC2015
# What must be true of every binary that is installed.

binaries() { find "$MQLOOP_BUILD/bin" "$MQLOOP_BUILD/lib" "$MQLOOP_BUILD/plugins" -type f; }

test_no_binary_tells_where_it_was_built() {
  binaries >list
  [ "$(wc -l <list)" -ge 4 ]
  while read -r binary; do
    if strings -a "$binary" | grep -F "$top/"; then fail "$binary names the folder it was built in"; fi
  done <list
}

test_every_library_is_found_relative_to_the_binary() {
  binaries | while read -r binary; do
    readelf -d "$binary" | sed -n 's/.*R.*PATH.*\[\(.*\)\]/\1/p' | tr ':' '\n' | while read -r folder; do
      case $folder in
        '$ORIGIN' | '$ORIGIN/'*) ;;
        *) fail "$binary looks for libraries in $folder" ;;
      esac
    done
  done
  readelf -d "$MQLOOP_BUILD/bin/mqloopd" | found 'RUNPATH.*\$ORIGIN/\.\./lib'
}

test_every_binary_is_hardened() {
  binaries | while read -r binary; do
    readelf -lW "$binary" | found GNU_RELRO || fail "$binary: no relro"
    readelf -dW "$binary" | found -E 'BIND_NOW|FLAGS.*NOW' || fail "$binary: symbols are not bound at start"
    readelf -hW "$binary" | found 'Type: *DYN' || fail "$binary: not position independent"
    if readelf -lW "$binary" | grep GNU_STACK | found 'RWE'; then fail "$binary: an executable stack"; fi
  done
}

test_a_plugin_exports_its_entry_and_nothing_else() {
  for plugin in "$MQLOOP_BUILD"/plugins/*.so; do
    # Weak symbols are templates of the C++ library, which it exports by itself.
    exported=$(nm -D --defined-only "$plugin" | awk '$2 != "V" && $2 != "W" { print $3 }')
    [ "$(wc -w <<<"$exported")" -eq 1 ] || fail "$plugin exports: $exported"
  done
}

test_the_library_exports_names_of_mqloop_only() {
  nm -DC --defined-only "$MQLOOP_BUILD/lib/libmqloop.so" | awk '$2 != "V" && $2 != "W" && $2 != "u"' | cut -d' ' -f3- |
    grep -vE '^((typeinfo|typeinfo name|vtable|construction vtable|VTT|guard variable|non-virtual thunk|virtual thunk) (for|to) )?mqloop(::|_)' >foreign || true
  [ ! -s foreign ] || fail "exported: $(cat foreign)"
}

test_the_library_has_a_soname_with_its_abi_number() {
  readelf -d "$MQLOOP_BUILD/lib/libmqloop.so" | found 'SONAME.*\[libmqloop\.so\.[0-9]*\]'
}

test_who_reads_no_password_files_needs_neither_libcrypto_nor_libargon2() {
  for binary in bin/mqloopd lib/libmqloop.so plugins/transport_tcp.so; do
    if readelf -d "$MQLOOP_BUILD/$binary" | grep -E 'NEEDED.*(crypto|argon2)'; then fail "$binary needs it"; fi
  done
  readelf -d "$MQLOOP_BUILD/plugins/auth_file.so" | found 'NEEDED.*libcrypto'
}

# The parts of libevent that had faults: nothing of ours stands on them, so no length of a peer comes near them.
uses_nothing_like() {  # PATTERN
  binaries | while read -r binary; do
    if nm -D --undefined-only "$binary" | grep -E " U $1"; then fail "$binary uses this"; fi
  done
}

test_cve_2014_6272_no_evbuffer_holds_what_a_peer_sends() {
  nm -D --undefined-only "$MQLOOP_BUILD/lib/libmqloop.so" | found ' U event_' # the search finds what there is
  uses_nothing_like '(evbuffer|bufferevent)_'
}

test_cve_2016_10195_names_are_not_looked_up_by_libevent() { uses_nothing_like '(evdns|evutil_getaddrinfo|evhttp)_?'; }
