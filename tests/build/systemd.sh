# shellcheck shell=bash disable=SC2154
# The service as systemd sees it: the unit, its account and its folders, as `make install` puts them below ./root.

# As a distribution would configure it.
install_for_a_distribution() {
  "$top/configure" -q --prefix=/usr --sysconfdir=/etc --localstatedir=/var "$@" >out
  make -s build/systemd/mqloop.service build/sysusers.d/mqloop.conf build/tmpfiles.d/mqloop.conf
}

value_of() { sed -n "s/^$1=//p" "$2"; }  # KEY UNIT

seconds_of() { # VALUE such as 30s
  [[ $1 =~ ^([0-9]+)s$ ]] || fail "'$1' is not in seconds"
  echo "${BASH_REMATCH[1]}"
}

test_the_unit_is_installed_where_systemd_looks_and_uninstalled_again() {
  install_mqloop
  prefix=$(prefix_of_build)
  for file in lib/systemd/system/mqloop.service lib/sysusers.d/mqloop.conf lib/tmpfiles.d/mqloop.conf; do
    [ "$(stat -c %a "root$prefix/$file")" = 644 ] || fail "no $file"
    grep -qx "file|$prefix/$file" "root$prefix/share/mqloop/installed"
    if grep -n '@[a-z]*@' "root$prefix/$file" | grep -v '@system-service\|@privileged'; then fail "$file has gaps"; fi
  done
  [ "$(stat -c %a "root$prefix/var/lib/mqloop")" = 700 ]
  [ "$(stat -c %a "root$prefix/var/log/mqloop")" = 750 ]
  make -s -C "$MQLOOP_BUILD/.." uninstall DESTDIR="$PWD/root"
  [ ! -e root ]
}

test_configure_puts_the_unit_elsewhere_or_leaves_it_out() {
  "$top/configure" -q --with-systemdsystemunitdir=/lib/systemd/system >out
  grep -q '^systemdsystemunitdir = /lib/systemd/system$' config.mak
  "$top/configure" -q --without-systemdsystemunitdir >out
  make -n install DESTDIR="$PWD/root" >commands
  if grep -q 'mqloop.service\|sysusers' commands; then fail "the unit is installed all the same"; fi
}

test_the_unit_names_the_places_of_the_build() {
  install_for_a_distribution
  unit=build/systemd/mqloop.service
  [ "$(value_of ExecStart $unit)" = '/usr/sbin/mqloopd -c /etc/mqloop/mqloop.yaml' ]
  [ "$(value_of ExecStartPre $unit)" = '/usr/sbin/mqloopd --check -c /etc/mqloop/mqloop.yaml' ]
  [ "$(value_of StateDirectory $unit)" = mqloop ]
  [ "$(value_of LogsDirectory $unit)" = mqloop ]
  if grep '^ReadWritePaths=' $unit; then fail "systemd makes these"; fi
  grep -qx 'd /var/lib/mqloop 0700 mqloop mqloop -' build/tmpfiles.d/mqloop.conf

  # Elsewhere than /var systemd makes no folders of state.
  install_for_a_distribution --prefix=/opt/mqloop --localstatedir=/opt/mqloop/var
  [ "$(value_of ReadWritePaths $unit)" = '/opt/mqloop/var/lib/mqloop /opt/mqloop/var/log/mqloop' ]
  if grep '^StateDirectory=' $unit; then fail "a folder that nobody uses"; fi
  grep -qx 'd /opt/mqloop/var/log/mqloop 0750 mqloop mqloop -' build/tmpfiles.d/mqloop.conf
}

test_the_sandbox_of_the_unit_is_tight() {
  if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: no systemd-analyze on this machine (Debian package: systemd)"
    return 0
  fi
  for state in /var /opt/mqloop/var; do
    install_for_a_distribution --localstatedir=$state
    # A threshold of 20 is an exposure of 2.0.
    systemd-analyze security --no-pager --offline=true --threshold=20 build/systemd/mqloop.service >out
    grep -q 'Overall exposure level' out
  done
}

test_systemd_takes_the_unit_and_the_socket_of_the_deploying_page() {
  if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: no systemd-analyze on this machine (Debian package: systemd)"
    return 0
  fi
  grep -qF 'systemd-analyze verify mqloop.service mqloop.socket' "$top/docs/deploying.md"
  install_for_a_distribution
  mkdir units
  awk '/^# mqloop.socket$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$top/docs/deploying.md" >units/mqloop.socket
  grep -q '^FileDescriptorName=' units/mqloop.socket
  # What it starts is installed below a folder of this test.
  sed 's|^\(Exec[A-Za-z]*=\)[^ ]*/mqloopd|\1/bin/true|' build/systemd/mqloop.service >units/mqloop.service
  systemd-analyze verify --man=no units/mqloop.service units/mqloop.socket >out 2>&1 || fail "$(cat out)"
  sed -i 's/^ListenStream=.*/ListenStream=nowhere/' units/mqloop.socket
  if systemd-analyze verify --man=no units/mqloop.service units/mqloop.socket >out 2>&1; then fail "it takes everything"; fi
}

test_the_unit_waits_for_an_end_in_order_and_feeds_the_limits_of_the_configuration() {
  install_for_a_distribution
  unit=build/systemd/mqloop.service
  stop=$(seconds_of "$(value_of TimeoutStopSec $unit)")
  drain=$(seconds_of "$(sed -n 's/^  drain: \([^ ]*\).*/\1/p' "$top/etc/mqloop.yaml")")
  workers=$(sed -n 's/.*kWorkersEnd{\([0-9]*\)}.*/\1/p' "$top/core/cli/mqloopd/run.cc")
  [ "$stop" -gt $((drain + workers)) ]
  connections=$(sed -n 's/^  max_connections: \([0-9]*\).*/\1/p' "$top/etc/mqloop.yaml" | sort -n | tail -n 1)
  [ "$(value_of LimitNOFILE $unit)" -ge $((connections + 100)) ]
  # What trying again does not mend, as docs/deploying.md has it.
  hopeless=$(sed -n 's/^| \([0-9]\) | .* | no |$/\1/p' "$top/docs/deploying.md" | tr '\n' ' ')
  [ "$(value_of RestartPreventExitStatus $unit) " = "$hopeless" ]
}

test_systemd_makes_the_account_and_the_folders() {
  if ! command -v systemd-sysusers >/dev/null || ! command -v systemd-tmpfiles >/dev/null; then
    echo "skipped: no systemd-sysusers or systemd-tmpfiles on this machine (Debian package: systemd)"
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "skipped: only root can give folders away"
    return 0
  fi
  install_for_a_distribution
  mkdir -p root/etc root/usr/lib
  touch root/etc/passwd root/etc/group
  cp -r build/sysusers.d build/tmpfiles.d root/usr/lib/
  systemd-sysusers --root="$PWD/root"
  grep -q '^mqloop:.*:/var/lib/mqloop:.*nologin$' root/etc/passwd
  systemd-tmpfiles --root="$PWD/root" --create
  account=$(awk -F: '$1 == "mqloop" { print $3 ":" $4 }' root/etc/passwd)
  [ "$(stat -c '%a %u:%g' root/var/lib/mqloop)" = "700 $account" ]
  [ "$(stat -c '%a %u:%g' root/var/log/mqloop)" = "750 $account" ]
}
