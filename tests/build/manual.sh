# shellcheck shell=bash disable=SC2154
# The manual pages, as they are installed.

test_the_manual_is_installed_where_man_looks_and_uninstalled_again() {
  install_mqloop
  prefix=$(prefix_of_build)
  for page in man8/mqloopd.8 man5/mqloop.yaml.5 man1/mqloop.1 man1/mqloop-passwd.1 man1/mqloop-db.1; do
    [ "$(stat -c %a "root$prefix/share/man/$page")" = 644 ] || fail "no $page"
    grep -qx "file|$prefix/share/man/$page" "root$prefix/share/mqloop/installed"
    if grep -nE '@[A-Za-z]+@' "root$prefix/share/man/$page"; then fail "$page has gaps"; fi
  done
  make -s -C "$MQLOOP_BUILD/.." uninstall DESTDIR="$PWD/root"
  [ ! -e root ]
}

test_the_manual_is_well_formed() {
  if ! command -v mandoc >/dev/null; then
    echo "skipped: no mandoc on this machine (Debian package: mandoc)"
    return 0
  fi
  make -s -C "$MQLOOP_BUILD/.." man
  mandoc -Tlint -W warning "$MQLOOP_BUILD"/man/*
}

test_the_manual_has_every_word_of_the_command_line() {
  make -s -C "$MQLOOP_BUILD/.." man
  "$MQLOOP_BUILD/bin/mqloopd" --help | grep -oE -- '--[a-z][a-z-]*' | sort -u >options
  [ "$(wc -l <options)" -ge 8 ]
  while read -r option; do
    grep -qE "Fl Fl ${option#--}( |$)" "$MQLOOP_BUILD/man/mqloopd.8" || fail "mqloopd(8) lacks $option"
  done <options
  "$MQLOOP_BUILD/bin/mqloop" help | sed -n 's/^  mqloop \([a-z][a-z-]*\).*/\1/p' >commands
  [ "$(wc -l <commands)" -ge 3 ]
  while read -r command; do
    cat "$MQLOOP_BUILD"/man/mqloop*.1 | found -E "Cm $command( |$)|-$command " ||
      fail "no manual has mqloop $command"
  done <commands
  "$MQLOOP_BUILD/bin/mqloopd" --help | sed -n 's/^Exit codes: \(.*\)\.$/\1/p' | grep -oE '[0-9]' | while read -r code; do
    grep -qx ".It $code" "$MQLOOP_BUILD/man/mqloopd.8" || fail "mqloopd(8) lacks exit status $code"
  done
}
