# shellcheck shell=bash disable=SC2154,SC2016,SC2015
# The README keeps its word: each command that it shows is run here, with its files, and says what is said of it.

readme=$top/README.md

block() {  # LANGUAGE NUMBER: the text of the n-th block of that language
  awk -v language="$1" -v number="$2" '
    inside && /^```$/ { inside = 0 }
    inside && count == number { print }
    !inside && $0 == "```" language { inside = 1; ++count }' "$readme"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

wait_for_port() {  # PORT PID
  for _ in $(seq 300); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
    kill -0 "$2" || return 1
    sleep 0.1
  done
  return 1
}

test_every_command_of_the_readme_is_run_by_a_test() {
  awk '/^```/ { inside = ($0 == "```sh"); next } inside' "$readme" >commands
  cat >run_here <<'END'
scripts/quickstart
mosquitto_sub -t 'hello/#' -v
mosquitto_pub -t hello/world -m 'it works'
scripts/check
./configure && make && sudo make install
mqloopd --check -c mqloop.yaml
mqloopd -c mqloop.yaml
make && sudo make install
END
  diff run_here commands
}

# scripts/check is what runs this test, and continuous integration runs nothing else.
test_continuous_integration_runs_the_check_of_the_readme() { grep -q 'exec .*scripts/check"$' "$top/.ci/run"; }

# Runs the two commands that quickstart prints, or the README shows, and expects the message to arrive.
try_commands() {  # SUBSCRIBE PUBLISH
  timeout 20 bash -c "exec ${1} -C 1" >received &
  subscriber=$!
  for _ in $(seq 100); do
    bash -c "$2"
    [ ! -s received ] || break
    sleep 0.1
  done
  wait "$subscriber"
  [ "$(cat received)" = 'hello/world it works' ]
}

test_quickstart_serves_the_two_commands_that_it_prints() {
  port=$(free_port)
  "$top/scripts/quickstart" --port "$port" >out 2>&1 &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat out)"
  subscribe=$(sed -n 's/^ *\(mosquitto_sub .*\)/\1/p' out)
  publish=$(sed -n 's/^ *\(mosquitto_pub .*\)/\1/p' out)
  [ "${subscribe/ -p $port/}" = "$(block sh 2 | sed -n 1p)" ]
  [ "${publish/ -p $port/}" = "$(block sh 2 | sed -n 2p)" ]
  try_commands "$subscribe" "$publish"
  grep -q 'Who can connect: .*loopback' out
  [ "$(readlink "/proc/$broker/exe")" = "$top/build/bin/mqloopd" ]  # in the foreground: Ctrl-C reaches it
  kill -TERM $broker
  wait $broker
}

# Installs below ./root, builds the README's plugin against that, and starts the README's configuration.
test_the_authenticator_of_the_readme_lets_in_who_has_a_badge() {
  install_mqloop
  prefix=$PWD/root$(prefix_of_build)
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  sed -i "s|^prefix=.*|prefix=$prefix|; s|=$(prefix_of_build)|=$prefix|" "$prefix/lib/pkgconfig/mqloop.pc"
  mkdir plugin
  block cpp 1 >plugin/auth_badge.cc
  block make 1 >plugin/Makefile
  [ "$(wc -l <plugin/auth_badge.cc)" -le 25 ]
  make -C plugin CXXFLAGS='-O1 -Wall -Wextra -Werror'
  make -C plugin install
  [ -f "$prefix/lib/mqloop/plugins/auth_badge.so" ]

  block yaml 1 >mqloop.yaml
  [ "$(wc -l <mqloop.yaml)" -eq 5 ]
  mkdir data
  port=$(free_port)
  options=(-c mqloop.yaml --set "node.data_dir=$PWD/data" --set "listeners.devices.bind=127.0.0.1:$port")
  "$prefix/sbin/mqloopd" --check "${options[@]}"
  "$prefix/sbin/mqloopd" "${options[@]}" 2>log &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat log)"
  mosquitto_pub -p "$port" -V 5 -i sensor7 -u sensor7 -P s3cret -t t -m hello
  if mosquitto_pub -p "$port" -V 5 -i sensor7 -u sensor7 -P wrong -t t -m hello 2>refused; then fail "a wrong badge got in"; fi
  grep -qi 'bad user name or password' refused
  if mosquitto_pub -p "$port" -V 5 -i stranger -t t -m hello 2>refused; then fail "a stranger got in"; fi
  kill -TERM $broker
  wait $broker
}
