# shellcheck shell=bash disable=SC2154
# What `make install` puts below ./root, run by the unit's own ExecStart line: closed by default, private, and content
# with the unit's sandbox, as far as root in a container can build it without systemd.

unit_of_build() { echo "root$(prefix_of_build)/lib/systemd/system/mqloop.service"; }

# The command line of the unit, with every place below ./root.
exec_start() {
  local line
  line=$(sed -n 's/^ExecStart=//p' "$(unit_of_build)")
  sed "s| /| $PWD/root/|g; s|^/|$PWD/root/|" <<<"$line"
}

# As the unit's options say, around what comes as arguments: a read-only system but for the broker's own folders, no
# devices, no capabilities, no root, no new rights, descriptors and umask. Its network is that of this machine.
in_the_sandbox_of_the_unit() {
  local folders limit umask
  limit=$(sed -n 's/^LimitNOFILE=//p' "$(unit_of_build)")
  umask=$(sed -n 's/^UMask=//p' "$(unit_of_build)")
  folders=$(sed -n 's/^ReadWritePaths=//p' "$(unit_of_build)" | sed "s|/|$PWD/root/|; s| /| $PWD/root/|g")
  # shellcheck disable=SC2016  # expanded inside
  unshare --mount --ipc --uts -- sh -ec '
    folders=$1 umask=$2 limit=$3
    shift 3
    mount --make-rprivate /
    mount -t tmpfs -o size=1m,mode=0755 none /dev/shm 2>/dev/null || true
    for folder in $folders; do mount --bind "$folder" "$folder"; done
    mount -o remount,bind,ro / 2>/dev/null || echo "(the root file system cannot be made read-only here)" >&2
    umask "$umask"
    limit=$(prlimit --nofile --noheadings --output HARD | { read -r hard; [ "$hard" -lt "$limit" ] && echo "$hard" || echo "$limit"; })
    exec prlimit --nofile="$limit" setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \
      --bounding-set=-all --inh-caps=-all "$@"' sh "$folders" "$umask" "$limit" "$@"
}

# Gives the folders away as tmpfiles.d says, to nobody in place of mqloop.
give_folders_away() {
  local kind path mode rest
  while read -r kind path mode rest; do
    [ "$kind" = d ] || continue
    [ "$(stat -c %a "root$path")" = "${mode#0}" ] || fail "$path is installed with another mode"
    chown 65534:65534 "root$path"
  done <"root$(prefix_of_build)/lib/tmpfiles.d/mqloop.conf"
}

needs_root() {
  [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null && return 0
  echo "skipped: only root may build a sandbox"
  return 1
}

# Nobody but root could go there.
reachable_folder() {
  local folder
  folder=$(mktemp -d /tmp/mqloop-deployed.XXXXXX)
  chmod 755 "$folder"
  # shellcheck disable=SC2064  # now
  trap "rm -rf '$folder'" EXIT
  cd "$folder"
}

test_the_installed_broker_serves_in_the_sandbox_of_its_unit_and_keeps_what_it_makes_to_itself() {
  needs_root || return 0
  reachable_folder
  install_mqloop
  prefix=$PWD/root$(prefix_of_build)
  give_folders_away
  port=$(free_port)
  # shellcheck disable=SC2046  # words on purpose
  in_the_sandbox_of_the_unit env -i PATH="$PATH" HOSTNAME=test $(exec_start) \
    --set "listeners.local.bind=127.0.0.1:$port" --set "node.data_dir=$prefix/var/lib/mqloop" \
    --set "logging.output={file: $prefix/var/log/mqloop/mqloop.log}" \
    --set "node.pid_file=$prefix/var/lib/mqloop/mqloop.pid" 2>errors &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat errors)"
  mosquitto_pub -p "$port" -t t -m hello
  pid=$(cat "$prefix/var/lib/mqloop/mqloop.pid")
  for line in 'Uid:	65534	65534	65534	65534' 'Gid:	65534	65534	65534	65534' 'CapEff:	0000000000000000' \
    'CapBnd:	0000000000000000' 'NoNewPrivs:	1'; do
    grep -qxF "$line" "/proc/$pid/status" || fail "not so: $line"
  done
  grep -qE '^Groups:[[:space:]]*$' "/proc/$pid/status"
  [ "$(stat -c '%a %u' "$prefix/var/lib/mqloop")" = '700 65534' ]
  [ "$(stat -c '%a %u' "$prefix/var/log/mqloop")" = '750 65534' ]
  [ "$(stat -c %a "$prefix/var/log/mqloop/mqloop.log")" = 640 ]
  grep -q 'connection connected' "$prefix/var/log/mqloop/mqloop.log"
  find "$prefix/var/lib/mqloop" -type f ! -name mqloop.pid -perm /077 >open
  [ ! -s open ] || fail "everybody may read $(cat open)"
  kill -TERM "$pid"
  wait $broker
}

test_root_becomes_the_account_of_the_configuration_and_leaves_the_groups_of_root_behind() {
  needs_root || return 0
  reachable_folder
  install_mqloop
  give_folders_away
  prefix=$PWD/root$(prefix_of_build)
  port=$(free_port)
  # Started with groups that nobody has: 4 and 27 are adm and sudo.
  # shellcheck disable=SC2046  # words on purpose
  setpriv --groups=0,4,27 $(exec_start) --set node.user=nobody --set "listeners.local.bind=127.0.0.1:$port" \
    --set "node.data_dir=$prefix/var/lib/mqloop" 2>errors &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat errors)"
  groups=$(sed -n 's/^Groups:[[:space:]]*//p' "/proc/$broker/status")
  [ "${groups% }" = "$(id -G nobody)" ] || fail "groups: $groups"
  grep -qxF 'CapEff:	0000000000000000' "/proc/$broker/status"
  mosquitto_pub -p "$port" -t t -m hello
  kill -TERM $broker
  wait $broker
}

test_as_it_is_installed_nobody_but_this_machine_can_enter() {
  install_mqloop
  prefix=$PWD/root$(prefix_of_build)
  "$prefix/sbin/mqloopd" --print-effective -c "$prefix/etc/mqloop/mqloop.yaml" >effective
  [ "$(grep -c 'bind:' effective)" -eq 1 ]
  grep -q 'bind: 127.0.0.1:1883 ' effective
  grep -q 'anonymous: loopback ' effective
}

# In a network of its own, whose loopback has a second, foreign address.
test_opened_to_the_network_it_still_lets_in_nobody_who_is_not_known() {
  needs_root || return 0
  if ! command -v ip >/dev/null || ! unshare --net true 2>/dev/null; then
    echo "skipped: no network of its own on this machine (Debian package: iproute2)"
    return 0
  fi
  install_mqloop
  export prefix=$PWD/root
  prefix+=$(prefix_of_build)
  cat >inside <<'END_INSIDE'
set -e
ip link set lo up
ip address add 192.0.2.1/32 dev lo
"$prefix/sbin/mqloopd" -c "$prefix/etc/mqloop/mqloop.yaml" --set listeners.local.bind=0.0.0.0:1883 2>log &
broker=$!
for _ in $(seq 300); do grep -q 'mqloopd started' log && break; sleep 0.1; done
mosquitto_pub -h 127.0.0.1 -V 5 -t t -m hello
if mosquitto_pub -h 192.0.2.1 -V 5 -t t -m hello 2>refused; then exit 1; fi
grep -qi 'not authorized' refused
grep -q 'auth deny .*from=192.0.2.1' log
kill -TERM $broker
wait $broker
END_INSIDE
  unshare --net -- bash inside
}
