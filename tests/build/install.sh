# shellcheck shell=bash disable=SC2154,SC2016,SC2015
# Installing and taking away again: first the script with lists of its own, then the real thing.

list_of_version() {  # NUMBER
  echo "program $1" >program
  echo "option: $1" >shipped.yaml
  printf '%s\n' 'file|755|program|/usr/sbin/program' 'link|program|/usr/sbin/alias' \
    'conf|shipped.yaml|/etc/app/app.yaml|/usr/share/app/app.yaml' 'file|644|shipped.yaml|/usr/share/app/app.yaml' \
    'dir|750|/var/lib/app'
  [ "$1" != 1 ] || echo 'file|644|program|/usr/lib/app/only-in-version-1'
}

install_version() { list_of_version "$1" >list && DESTDIR=$PWD/root "$top/scripts/install-tree" install /usr/share/app/installed <list; }
uninstall() { DESTDIR=$PWD/root "$top/scripts/install-tree" uninstall /usr/share/app/installed; }

test_uninstall_leaves_no_file_and_no_folder_that_install_made() {
  mkdir -p root/usr/share
  echo mine >root/usr/share/mine
  before=$(find root | sort)
  install_version 1
  [ -x root/usr/sbin/alias ]
  [ "$(stat -c %a root/var/lib/app)" = 750 ]
  uninstall
  diff <(echo "$before") <(find root | sort)
}

test_uninstall_removes_a_root_that_install_made() {
  install_version 1
  uninstall
  [ ! -e root ]
}

test_an_edited_configuration_survives_reinstall_and_uninstall() {
  install_version 1
  echo '# mine' >>root/etc/app/app.yaml
  cp root/etc/app/app.yaml edited
  install_version 2 >out
  cmp edited root/etc/app/app.yaml
  grep -q 'kept.*etc/app/app.yaml' out
  [ "$(cat root/usr/share/app/app.yaml)" = 'option: 2' ]
  install_version 2
  cmp edited root/etc/app/app.yaml
  uninstall
  [ "$(find root -type f)" = root/etc/app/app.yaml ]
}

test_an_untouched_configuration_follows_the_version() {
  install_version 1
  install_version 2
  [ "$(cat root/etc/app/app.yaml)" = 'option: 2' ]
}

test_what_a_new_version_no_longer_has_is_removed() {
  install_version 1
  [ -e root/usr/lib/app/only-in-version-1 ]
  install_version 2
  [ ! -e root/usr/lib/app/only-in-version-1 ]
  uninstall
  [ ! -e root ]
}

test_uninstall_keeps_data() {
  install_version 1
  echo precious >root/var/lib/app/data
  uninstall
  [ "$(find root -type f)" = root/var/lib/app/data ]
}

test_uninstall_of_nothing_says_so() {
  if uninstall 2>out; then fail "uninstalled nothing, and was content"; fi
  grep -q 'nothing is installed' out
}

install_mqloop() { make -s -C "$MQLOOP_BUILD/.." install DESTDIR="$PWD/root"; }
prefix_of_build() { sed -n 's/^prefix = //p' "$MQLOOP_BUILD/../config.mak"; }

test_an_installed_tree_runs_wherever_it_is_moved() {
  install_mqloop
  mv root moved
  prefix=$PWD/moved$(prefix_of_build)
  "$prefix/sbin/mqloopd" --version
  found=$(ldd "$prefix/sbin/mqloopd" | awk '/libmqloop\.so/ { print $3 }')
  [ "$(dirname "$(realpath "$found")")" = "$prefix/lib" ]
  mkdir data
  "$prefix/sbin/mqloopd" --check -c "$prefix/etc/mqloop/mqloop.yaml" --set "node.data_dir=$PWD/data"
}

test_pkg_config_knows_the_installed_library() {
  install_mqloop
  prefix=$PWD/root$(prefix_of_build)
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/root
  pkg-config --exists --print-errors mqloop
  echo '#include <mqloop/status.h>
int main() { return mqloop::ok().ok() && !mqloop::invalid_argument("no").ok() ? 0 : 1; }' >main.cc
  # shellcheck disable=SC2046  # words on purpose
  g++ -std=c++20 -o main main.cc $(pkg-config --cflags --libs mqloop)
  LD_LIBRARY_PATH=$prefix/lib ./main
}

test_a_tarball_builds_installs_and_uninstalls() {
  [ -e "$top/.git" ] || return 0  # this is a tarball
  make -s -C "$MQLOOP_BUILD/.." distcheck
}
