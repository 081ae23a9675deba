"""`mqloop passwd`: what it does to files, what it says, and how it asks on a terminal. Run by tests/cli/run."""

import base64
import hashlib
import os
import pty
import re
import resource
import select
import signal
import stat
import subprocess
import termios
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
MQLOOP = str(Path(os.environ.get("MQLOOP", TOP / "build/bin/mqloop")).resolve())
PATIENCE = 20
TESTS = []
CHEAP = ("-H", "sha512-pbkdf2", "--cost", "1")


def test(function):
    TESTS.append(function)
    return function


def equal(expected, got):
    if expected != got:
        raise AssertionError(f"\nexpected: {expected!r}\ngot:      {got!r}")


def passwd(folder, *arguments, typed="", **options):
    done = subprocess.run([MQLOOP, "passwd", *arguments], cwd=folder.path, capture_output=True, text=True,
                          timeout=PATIENCE, input=typed, **options)
    return done.returncode, done.stdout, done.stderr


def well(folder, *arguments, **options):
    equal((0, "", ""), passwd(folder, *arguments, **options))


def text_of(folder, name="users.pw"):
    return (folder.path / name).read_text()


def is_hash_of(password, text):
    """Of -H sha512-pbkdf2, by other means than mqloop's own."""
    _, scheme, iterations, salt, digest = text.split("$")
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(iterations))
    return scheme == "7" and base64.b64decode(digest) == made


def only_file_is(folder, name="users.pw"):
    equal([name], sorted(os.listdir(folder.path)))


# ---- files ----


@test
def passwd_creates_a_file_that_its_owner_alone_can_read(folder):
    well(folder, "-c", "users.pw", "bob", typed="hunter2\n")
    equal(0o600, stat.S_IMODE((folder.path / "users.pw").stat().st_mode))
    if not re.fullmatch(r"bob:\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}\n", text_of(folder)):
        raise AssertionError(text_of(folder))
    only_file_is(folder)


@test
def passwd_never_creates_over_a_file(folder):
    folder.write("users.pw", "precious\n")
    equal((1, "", "mqloop: users.pw is there already; to add 'bob' to it leave out -c\n"),
          passwd(folder, "-c", "users.pw", "bob", typed="x\n"))
    equal("precious\n", text_of(folder))
    only_file_is(folder)


@test
def passwd_without_a_file_says_how_to_create_one(folder):
    for action in ([], ["-D"]):
        equal((1, "", "mqloop: users.pw: no such file; create it: mqloop passwd -c users.pw bob\n"),
              passwd(folder, *action, "users.pw", "bob", typed="x\n"))
    equal([], os.listdir(folder.path))


@test
def passwd_adds_updates_and_deletes_and_leaves_other_lines_alone(folder):
    folder.write("users.pw", "# who may enter\n\nalice:$6$c2FsdA==$" + "A" * 86 + "==\n# the end")
    well(folder, *CHEAP, "-b", "users.pw", "bob", "one")
    lines = text_of(folder).split("\n")
    equal(["# who may enter", "", "alice:$6$c2FsdA==$" + "A" * 86 + "==", "# the end"], lines[:4])
    assert lines[4].startswith("bob:") and is_hash_of("one", lines[4][4:]), lines
    well(folder, *CHEAP, "-b", "users.pw", "carol", "three")
    well(folder, *CHEAP, "-b", "users.pw", "bob", "two")
    again = text_of(folder).split("\n")
    equal(lines[:4], again[:4])
    assert again[4].startswith("bob:") and is_hash_of("two", again[4][4:]), again
    assert again[5].startswith("carol:") and is_hash_of("three", again[5][6:]), again
    well(folder, "-D", "users.pw", "bob")
    equal(again[:4] + again[5:], text_of(folder).split("\n"))
    equal((1, "", "mqloop: users.pw: there is no user 'bob'\n"), passwd(folder, "-D", "users.pw", "bob"))
    only_file_is(folder)


@test
def passwd_leaves_a_user_once_who_was_there_twice(folder):
    folder.write("users.pw", "bob:x\neve:$7$1$AAAA$" + "A" * 86 + "==\nbob:y\nbobby:z\n")
    code, out, err = passwd(folder, *CHEAP, "-b", "users.pw", "bob", "p")
    equal((0, ""), (code, out))
    equal(["bob", "eve", "bobby"], [line.split(":")[0] for line in text_of(folder).splitlines()])


@test
def passwd_warns_of_lines_for_which_the_file_will_be_refused(folder):
    folder.write("users.pw", "plain:hunter2\nnonsense\n")
    equal((0, "", "mqloop: users.pw:1:7: user 'plain': this is no hash, and passwords in plain text are refused\n"
                  "mqloop: users.pw:2:9: a line is NAME:HASH, and here is no ':'\n"
                  "mqloop: auth_file refuses the file until that is mended\n"),
          passwd(folder, *CHEAP, "-b", "users.pw", "bob", "x"))
    equal(["plain:hunter2", "nonsense"], text_of(folder).splitlines()[:2])
    # The remedy for a password in plain text is the same command.
    well_or_warned = passwd(folder, *CHEAP, "-b", "users.pw", "plain", "hunter2")
    equal(0, well_or_warned[0])
    assert is_hash_of("hunter2", text_of(folder).splitlines()[0][6:])


@test
def passwd_keeps_mode_and_owner_and_follows_a_link(folder):
    target = folder.path / "etc"
    target.mkdir()
    (target / "real.pw").write_text("")
    os.chmod(target / "real.pw", 0o640)
    if os.geteuid() == 0:
        os.chown(target / "real.pw", 12345, 54321)
    before = (target / "real.pw").stat()
    os.symlink("etc/real.pw", folder.path / "users.pw")
    well(folder, *CHEAP, "-b", "users.pw", "bob", "x")
    after = (target / "real.pw").stat()
    equal((before.st_mode, before.st_uid, before.st_gid), (after.st_mode, after.st_uid, after.st_gid))
    assert before.st_ino != after.st_ino, "replaced, not written over"
    assert (folder.path / "users.pw").is_symlink()
    equal(["real.pw"], os.listdir(target))
    assert text_of(folder).startswith("bob:")


@test
def passwd_that_cannot_write_leaves_the_old_file_and_nothing_else(folder):
    well(folder, *CHEAP, "-b", "-c", "users.pw", "bob", "x")
    before = text_of(folder)

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), len(before)))

    code, out, err = passwd(folder, *CHEAP, "-b", "users.pw", "eve", "x", preexec_fn=small_disk)
    equal((1, ""), (code, out))
    assert err.startswith("mqloop: cannot write ") and err.endswith(": File too large\n"), err
    equal(before, text_of(folder))
    only_file_is(folder)


@test
def passwd_refuses_what_is_no_file(folder):
    os.mkdir(folder.path / "folder")
    os.mkfifo(folder.path / "pipe")
    for name in ("folder", "pipe"):
        code, out, err = passwd(folder, *CHEAP, "-b", name, "bob", "x")
        equal((1, ""), (code, out))
        assert name in err, err


@test
def passwd_by_many_at_a_time_loses_nobody(folder):
    folder.write("users.pw", "")
    names = [f"user{i}" for i in range(24)]
    running = [subprocess.Popen([MQLOOP, "passwd", *CHEAP, "-b", "users.pw", name, name], cwd=folder.path)
               for name in names]
    equal([0] * len(names), [process.wait(PATIENCE) for process in running])
    equal(sorted(names), sorted(line.split(":")[0] for line in text_of(folder).splitlines()))
    only_file_is(folder)


# ---- the command line ----


@test
def passwd_writes_the_scheme_and_the_cost_that_it_is_told(folder):
    folder.write("users.pw", "")
    for arguments, begin in (
        (["-H", "scrypt", "--cost", "4"], "$scrypt$ln=4,r=8,p=1$"),
        (["-Hargon2id", "--cost=64"], "$argon2id$v=19$m=64,t=2,p=1$"),
        (["-H", "argon2id"], "$argon2id$v=19$m=19456,t=2,p=1$"),
        (["-H", "sha512-pbkdf2"], "$7$210000$"),
        (["-H", "sha512-pbkdf2", "--cost", "101"], "$7$101$"),
    ):
        well(folder, *arguments, "-b", "users.pw", "bob", "x")
        assert text_of(folder).startswith("bob:" + begin), text_of(folder)


@test
def passwd_tells_what_is_wrong_with_a_command_line(folder):
    folder.write("users.pw", "")
    for arguments, complaint in (
        ([], "passwd takes FILE NAME"),
        (["users.pw"], "passwd takes FILE NAME"),
        (["users.pw", "bob", "secret"], "passwd: a password on the command line needs -b, and others can see it there"),
        (["-b", "users.pw", "bob"], "passwd -b takes FILE NAME PASSWORD"),
        (["-x", "users.pw", "bob"], "passwd: unknown option '-x'"),
        (["--elephant", "users.pw", "bob"], "passwd: unknown option '--elephant'"),
        (["-c", "-D", "users.pw", "bob"], "passwd: -c or -D, not both"),
        (["-D", "-b", "users.pw", "bob"], "passwd: -D needs no password"),
        (["-H"], "passwd: -H needs a value"),
        (["-H", "md5", "users.pw", "bob"], "passwd: -H is scrypt, argon2id or sha512-pbkdf2, not 'md5'"),
        (["-H", "sha512", "users.pw", "bob"],
         "passwd: sha512 is read, but too weak to be written; for mosquitto -H sha512-pbkdf2"),
        (["--cost", "much", "users.pw", "bob"], "passwd: --cost is a number, not 'much'"),
        (["--cost", "21", "users.pw", "bob"], "passwd: --cost: ln is 21, and must be 1 to 20"),
        (["users.pw", ""], "passwd: the user name is empty"),
        (["users.pw", "bob:x"], "passwd: a user name cannot hold ':', which ends it in the file"),
        (["users.pw", "b\nb"], "passwd: a user name cannot hold control characters"),
        (["users.pw", "b\x1b[2J"], "passwd: a user name cannot hold control characters"),
        (["users.pw", "#bob"], "passwd: a user name cannot begin with '#', which makes the line a comment"),
        (["users.pw", b"zo\xeb"], "passwd: the user name is not UTF-8, so that no client could send it"),
    ):
        equal((2, "", f"mqloop: {complaint}; mqloop passwd --help tells more\n"),
              passwd(folder, *arguments, typed="x\n"))
    equal("", text_of(folder))


@test
def passwd_help_tells_every_option(folder):
    for arguments in (["--help"], ["-h"]):
        code, out, err = passwd(folder, *arguments)
        equal((0, ""), (code, err))
        for option in ("-c", "-D", "-b", "-H", "--cost", "scrypt", "argon2id", "sha512-pbkdf2"):
            assert option in out, option


@test
def passwd_takes_names_and_passwords_that_look_like_options(folder):
    well(folder, *CHEAP, "-c", "-b", "--", "users.pw", "-D", "-H")
    line = text_of(folder)
    assert line.startswith("-D:") and is_hash_of("-H", line[3:].strip()), line


# ---- standard input ----


@test
def passwd_takes_the_first_line_of_standard_input(folder):
    folder.write("users.pw", "")
    for typed, password in (("one\n", "one"), ("two", "two"), (" th ree \nfour\n", " th ree "), ("\u20ac\n", "\u20ac")):
        well(folder, *CHEAP, "users.pw", "bob", typed=typed)
        assert is_hash_of(password, text_of(folder)[4:].strip()), typed


@test
def passwd_without_a_password_changes_nothing(folder):
    folder.write("users.pw", "# mine\n")
    for typed, complaint in (
        ("", "no password was given on standard input"),
        ("\n", "an empty password protects nothing; nothing was changed"),
        ("x" * 65536 + "\n", "a password has at most 65535 bytes"),
    ):
        equal((1, "", f"mqloop: {complaint}\n"), passwd(folder, "users.pw", "bob", typed=typed))
    equal((1, "", "mqloop: an empty password protects nothing; nothing was changed\n"),
          passwd(folder, "-b", "users.pw", "bob", ""))
    equal("# mine\n", text_of(folder))


# ---- a terminal ----


class Terminal:
    """The command with a terminal of its own, and a person in front of it."""

    def __init__(self, folder, *arguments):
        self.shown = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(folder.path)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                os.execv(MQLOOP, [MQLOOP, "passwd", *arguments])
            finally:
                os._exit(99)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self):
        """False at the end."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.shown += data.decode()
        return bool(data)

    def wait_for(self, text, times=1):
        deadline = time.monotonic() + PATIENCE
        while self.shown.count(text) < times:
            if not self.read() or time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {text!r}: {self.shown!r}")

    def wait_for_echo(self, wanted):
        """The question may be there a moment before or after the terminal is quiet."""
        deadline = time.monotonic() + PATIENCE
        while self.echoes() != wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"the terminal echoes: {not wanted}")
            time.sleep(0.01)

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The status as waitpid tells it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                while select.select([self.fd], [], [], 0)[0] and self.read():
                    pass
                return status
        raise AssertionError(f"it goes on: {self.shown!r}")


@test
def passwd_asks_twice_and_shows_nothing_of_it(folder):
    with Terminal(folder, *CHEAP, "-c", "users.pw", "bob") as person:
        person.wait_for("Password for bob: ")
        assert not person.echoes()
        person.type("canary 1\n")
        person.wait_for("The same again: ")
        assert not person.echoes()
        person.type("canary 1\n")
        equal(0, os.waitstatus_to_exitcode(person.end()))
        assert person.echoes()
        equal("Password for bob: \r\nThe same again: \r\n", person.shown)
    assert is_hash_of("canary 1", text_of(folder)[4:].strip())


@test
def passwd_changes_nothing_when_the_two_differ_or_are_empty(folder):
    folder.write("users.pw", "# mine\n")
    with Terminal(folder, "users.pw", "bob") as person:
        person.wait_for("Password for bob: ")
        person.type("one\n")
        person.wait_for("The same again: ")
        person.type("two\n")
        equal(1, os.waitstatus_to_exitcode(person.end()))
        assert "the two passwords differ; nothing was changed" in person.shown, person.shown
    with Terminal(folder, "users.pw", "bob") as person:
        person.wait_for("Password for bob: ")
        person.type("\n")
        equal(1, os.waitstatus_to_exitcode(person.end()))
        assert "an empty password protects nothing; nothing was changed" in person.shown, person.shown
    with Terminal(folder, "users.pw", "bob") as person:
        person.wait_for("Password for bob: ")
        person.type("\x04")
        equal(1, os.waitstatus_to_exitcode(person.end()))
        assert "no password was given" in person.shown, person.shown
    equal("# mine\n", text_of(folder))
    only_file_is(folder)


@test
def passwd_that_a_signal_ends_gives_the_terminal_its_echo_back(folder):
    folder.write("users.pw", "# mine\n")
    for number, key in ((signal.SIGINT, "\x03"), (signal.SIGQUIT, "\x1c"), (signal.SIGTERM, ""), (signal.SIGHUP, "")):
        for typed in ("", "half a pass"):
            with Terminal(folder, "users.pw", "bob") as person:
                person.wait_for("Password for bob: ")
                assert not person.echoes()
                if typed:
                    person.type(typed)
                if key:
                    person.type(key)
                else:
                    os.kill(person.pid, number)
                equal(number, os.WTERMSIG(person.end()))
                assert person.echoes(), f"after {number}"
                assert "half" not in person.shown, person.shown
    equal("# mine\n", text_of(folder))
    only_file_is(folder)


@test
def passwd_that_was_stopped_asks_again(folder):
    with Terminal(folder, *CHEAP, "-c", "users.pw", "bob") as person:
        person.wait_for("Password for bob: ")
        person.type("half\x1a")
        person.wait_for("Password for bob: ", times=2)
        person.wait_for_echo(False)
        person.type("whole\n")
        person.wait_for("The same again: ")
        person.type("whole\n")
        equal(0, os.waitstatus_to_exitcode(person.end()))
        assert person.echoes()
    assert is_hash_of("whole", text_of(folder)[4:].strip())
