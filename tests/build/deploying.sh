# shellcheck shell=bash disable=SC2154
# docs/deploying.md keeps its word: each command of the page is run here, in the order of an operator's first day, on a
# tree installed below ./root.

deploying=$top/docs/deploying.md

commands_of_the_page() {
  awk '/^ *```/ { inside = ($0 ~ /^ *```sh$/); next } inside { sub(/^ */, ""); print }' "$deploying"
}

# Runs the n-th command of the page as it stands, but for its places, which are below ./root, and for building: what is
# installed was built already.
run_command() {  # NUMBER
  local prefix=$PWD/root command
  prefix+=$(prefix_of_build)
  command=$(commands_of_the_page | sed -n "$1p")
  command=${command/#.\/configure && make && sudo make install/install_mqloop}
  command=${command/#make && sudo make install/install_mqloop}
  command=${command//\/usr\/local/$prefix}
  command=${command/#mqloopd/$prefix/sbin/mqloopd}
  command=${command//\/run\//$PWD/root/run/}
  eval "${command//\/var\/log\//$PWD/root/var/log/}"
}

test_every_command_of_the_deploying_page_is_known_here() {
  commands_of_the_page >commands
  cat >run_here <<'END'
./configure && make && sudo make install
mqloopd --check -c /usr/local/etc/mqloop/mqloop.yaml
mqloopd -c /usr/local/etc/mqloop/mqloop.yaml --set node.pid_file=/run/mqloop.pid
kill -TERM "$(cat /run/mqloop.pid)"
mqloopd --check -c /usr/local/etc/mqloop/mqloop.yaml && kill -HUP "$(cat /run/mqloop.pid)"
mv /var/log/mqloop.log /var/log/mqloop.log.1 && kill -USR1 "$(cat /run/mqloop.pid)"
prlimit --pid "$(cat /run/mqloop.pid)" --nofile
make && sudo make install
mqloopd --check -c /usr/local/etc/mqloop/mqloop.yaml && kill -TERM "$(cat /run/mqloop.pid)"
tls=/usr/local/etc/mqloop/tls && mkdir -p "$tls" /usr/local/etc/mqloop/conf.d
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=our own CA" -keyout "$tls/ca.key" -out "$tls/ca.pem"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout "$tls/server.key" -out "$tls/server.csr"
openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -days 365 -copy_extensions copy -out "$tls/server.pem"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=sensor7" -keyout "$tls/sensor7.key" -out "$tls/sensor7.csr"
openssl x509 -req -in "$tls/sensor7.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -days 365 -out "$tls/sensor7.pem"
mqloopd --check -c /usr/local/etc/mqloop/mqloop.yaml
mosquitto_pub -h localhost -p 8883 --cafile "$tls/ca.pem" --cert "$tls/sensor7.pem" --key "$tls/sensor7.key" -t test -m hello
openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -days 365 -copy_extensions copy -out "$tls/server.new"
mv "$tls/server.new" "$tls/server.pem"
END
  diff run_here commands
}

test_a_day_of_an_operator_goes_as_the_deploying_page_says() {
  run_command 1
  mkdir -p root/run root/var/log
  prefix=$PWD/root$(prefix_of_build)
  config=$prefix/etc/mqloop/mqloop.yaml
  for place in sbin/mqloopd etc/mqloop/mqloop.yaml share/mqloop/mqloop.yaml lib/mqloop/plugins var/lib/mqloop; do
    [ -e "$prefix/$place" ] || fail "no $place"
    grep -qF "/usr/local/$place" "$deploying"
  done

  port=$(free_port)
  sed -i "s|127.0.0.1:1883|127.0.0.1:$port|; s|output: stderr  |output: {file: $PWD/root/var/log/mqloop.log}  |" "$config"
  run_command 2
  run_command 3 2>errors &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat errors)"
  mosquitto_pub -p "$port" -t t -m hello
  run_command 7 | found NOFILE

  sed -i 's|max_qos: 2|max_qos: 1|' "$config"
  run_command 5
  for _ in $(seq 100); do
    grep -q 'config reloaded changes=1' root/var/log/mqloop.log && break
    sleep 0.1
  done
  grep -q 'config limits.max_qos changed from 2 to 1' root/var/log/mqloop.log

  run_command 6
  for _ in $(seq 100); do
    [ -e root/var/log/mqloop.log ] && break
    sleep 0.1
  done
  grep -q 'connection connected' root/var/log/mqloop.log.1

  run_command 8
  mosquitto_pub -p "$port" -t t -m 'while another version is being installed'
  grep -q "127.0.0.1:$port" "$config"
  run_command 9
  wait $broker
  [ ! -e root/run/mqloop.pid ]
  grep -q 'mqloopd stopped' root/var/log/mqloop.log

  run_command 3 2>errors &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat errors)"
  run_command 4
  wait $broker
}

test_tls_goes_from_nothing_to_a_verified_publish_as_the_deploying_page_says() {
  install_mqloop
  mkdir -p root/run
  prefix=$PWD/root$(prefix_of_build)
  config=$prefix/etc/mqloop/mqloop.yaml
  port=$(free_port) secure=$(free_port)
  sed -i "s|127.0.0.1:1883|127.0.0.1:$port|" "$config"
  for number in 10 11 12 13 14 15; do run_command $number 2>>errors; done
  awk '/^## TLS/ { tls = 1 } /^```/ { inside = tls && /^```yaml$/; next } inside' "$deploying" |
    sed "s|\[::\]:8883|127.0.0.1:$secure|" >"$prefix/etc/mqloop/conf.d/tls.yaml"
  run_command 16
  run_command 3 2>log &
  broker=$!
  wait_for_port "$port" $broker || fail "$(cat log)"
  publish=$(commands_of_the_page | sed -n "17s|-p 8883|-p $secure|p")
  eval "$publish"
  for _ in $(seq 100); do
    grep -q 'connected .*user=sensor7 .*listener=devices' log && break
    sleep 0.1
  done
  grep -q 'connected .*user=sensor7 .*listener=devices' log
  if eval "${publish/--cert*-t/-t}" 2>>errors; then fail "a client without a certificate is let in"; fi
  for _ in $(seq 100); do
    grep -q 'TLS handshake: peer did not return a certificate' log && break
    sleep 0.1
  done
  grep -q 'TLS handshake: peer did not return a certificate' log
  run_command 18 2>>errors
  run_command 19
  for _ in $(seq 300); do
    grep -q 'tls changed files read' log && break
    sleep 0.1
  done
  grep -q 'tls changed files read' log
  eval "$publish"
  for _ in $(seq 100); do
    [ "$(grep -c 'connected .*user=sensor7 .*listener=devices' log)" = 2 ] && break
    sleep 0.1
  done
  [ "$(grep -c 'connected .*user=sensor7 .*listener=devices' log)" = 2 ]
  if grep -q 'warn tls' log; then fail "$(grep 'warn tls' log)"; fi
  run_command 4
  wait $broker
}
