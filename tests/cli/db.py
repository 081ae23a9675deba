"""`mqloop db`: what it finds, what it writes, and what it takes from others. Run by tests/cli/run."""

import fcntl
import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
MQLOOP = str(Path(os.environ.get("MQLOOP", TOP / "build/bin/mqloop")).resolve())
MOSQUITTO = "/usr/sbin/mosquitto"
PATIENCE = 20
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def equal(expected, got):
    if expected != got:
        raise AssertionError(f"\nexpected: {expected!r}\ngot:      {got!r}")


def contains(part, text):
    if part not in text:
        raise AssertionError(f"\nnot found: {part!r}\nin:        {text!r}")


def db(folder, *arguments, typed=""):
    done = subprocess.run([MQLOOP, "db", *arguments], cwd=folder.path, capture_output=True, text=True,
                          timeout=PATIENCE, input=typed)
    return done.returncode, done.stdout, done.stderr


def well(folder, *arguments, **options):
    code, out, err = db(folder, *arguments, **options)
    equal((0, ""), (code, err))
    return out


def rows_of(text, kind):
    rows = [json.loads(line) for line in text.split("\n") if line]
    return [{key: value for key, value in row.items() if key != "type"} for row in rows if row["type"] == kind]


PRINCIPAL = {"client_id": "c", "user_name": "u", "chain": "default", "listener": "l", "peer_address": "127.0.0.1:5",
             "version": 5}
EVERYTHING = [
    {"type": "meta", "batch": 9, "session": 7, "message": 640, "delivery": 30, "retained": 4, "alive_at": 1700000000000},
    {"type": "session", "number": 1, "client_id": "c", "user_name": "u", "expiry_interval": 4294967295,
     "connected": False, "gone_at": 1700000000000,
     "will": {"topic": "w", "payload": "quote \" back \\ tab \t", "properties_base64": "AQE=", "qos": 2, "retain": True,
              "delay_interval": 5, "message_expiry_interval": 6},
     "principal": PRINCIPAL},
    {"type": "session", "number": 7, "client_id": "ünï\u2028", "expiry_interval": 60, "connected": True},
    {"type": "subscription", "session": 1, "filter": "$share/g/#", "qos": 0, "options": 0, "identifier": 0},
    {"type": "subscription", "session": 1, "filter": "a/+", "qos": 2, "options": 46, "identifier": 268435455},
    {"type": "message", "number": 64, "topic": "a/b", "payload": "", "qos": 1, "retain": False},
    {"type": "message", "number": 640, "topic": "a/c", "payload_base64": "/wA=", "properties_base64": "JgABawABdg==",
     "qos": 2, "retain": True, "expires_at": 1900000000000},
    {"type": "delivery", "session": 1, "number": 3, "message": 64, "qos": 1, "retain": False, "packet_id": 65535,
     "received": False, "identifiers_base64": "AQAAAAIAAAA="},
    {"type": "delivery", "session": 1, "number": 4, "qos": 2, "retain": False, "packet_id": 1, "received": True},
    {"type": "delivery", "session": 7, "number": 30, "message": 640, "qos": 2, "retain": True, "received": False,
     "share": "$share/g/#"},
    {"type": "received", "session": 7, "packet_id": 12},
    {"type": "shared_delivery", "share": "$share/g/#", "message": 64},
    {"type": "retained", "topic": "r", "sequence": 4, "number": 0, "payload": "x", "qos": 1,
     "expires_at": 1900000000000, "stored_at": 1700000000000, "principal": PRINCIPAL},
]


def lines_of(rows):
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def make(folder, name="mqloop.db"):
    well(folder, "import", name, "-", typed=lines_of(EVERYTHING))
    return folder.path / name


# ---- export and import ----


@test
def what_was_exported_is_imported_as_it_was(folder):
    make(folder)
    text = well(folder, "export", "mqloop.db")
    equal(EVERYTHING, [json.loads(line) for line in text.split("\n") if line])
    well(folder, "import", "again.db", "-", typed=text)
    equal(text, well(folder, "export", "again.db"))
    contains("again.db: ok: 2 sessions, 2 subscriptions, 2 messages, 3 deliveries, 1 messages of groups, "
             "1 retained messages\n", well(folder, "check", "again.db"))
    equal(0o600, (folder.path / "again.db").stat().st_mode & 0o777)


@test
def import_never_adds_to_a_database_that_holds_something(folder):
    make(folder)
    before = well(folder, "export", "mqloop.db")
    equal((1, "", "mqloop: mqloop.db: holds something already; import makes a new database\n"),
          db(folder, "import", "mqloop.db", "-", typed=lines_of(EVERYTHING)))
    equal(before, well(folder, "export", "mqloop.db"))


@test
def import_of_a_wrong_line_names_it_and_leaves_nothing(folder):
    good = lines_of(EVERYTHING[:3])
    session = EVERYTHING[1]
    for bad, complaint in (
        ("{", "line 4: is no JSON"),
        ('{"type":"elephant"}', "line 4: its type is 'elephant', which is not known"),
        ("[]", "line 4: its type is '', which is not known"),
        (json.dumps({**session, "number": 0}), "line 4: 'number' is missing, or wrong"),
        (json.dumps({**session, "number": "8"}), "line 4: 'number' is missing, or wrong"),
        (json.dumps({**session, "number": 1.5}), "line 4: 'number' is missing, or wrong"),
        (json.dumps({**session, "number": 10 ** 30}), "line 4: 'number' is missing, or wrong"),
        (json.dumps({**session, "client_id": ""}), "line 4: 'client_id' is missing, or wrong"),
        (json.dumps({**session, "client_id": 5}), "line 4: 'client_id' is missing, or wrong"),
        (json.dumps({**session, "principal": {"version": 9}}), "line 4: 'principal.version' is missing, or wrong"),
        (json.dumps({**session, "will": {"topic": "#", "qos": 0}}), "line 4: 'will.topic' is missing, or wrong"),
        ('{"type":"subscription","session":1,"filter":"a#","qos":0}', "line 4: 'filter' is missing, or wrong"),
        ('{"type":"message","number":1,"topic":"t","qos":3}', "line 4: 'qos' is missing, or wrong"),
        ('{"type":"message","number":1,"topic":"t"}', "line 4: 'qos' is missing, or wrong"),
        ('{"type":"message","number":1,"topic":"t","qos":1,"payload_base64":"_"}',
         "line 4: 'payload_base64' is missing, or wrong"),
        ('{"type":"message","number":1,"topic":"t","qos":1,"properties_base64":"/w=="}',
         "line 4: 'properties_base64' is missing, or wrong"),
        ('{"type":"delivery","session":1,"number":1,"qos":1}', "line 4: 'message' is missing, or wrong"),
        ('{"type":"received","session":1,"packet_id":65536}', "line 4: 'packet_id' is missing, or wrong"),
        ('{"type":"shared_delivery","share":"a","message":1}', "line 4: 'share' is missing, or wrong"),
    ):
        equal((1, "", f"mqloop: {complaint}\n"), db(folder, "import", "new.db", "-", typed=good + bad + "\n"))
        equal([], os.listdir(folder.path))
    equal((1, "", "mqloop: not what mqloop db export wrote: no line of type meta\n"), db(folder, "import", "new.db", "-"))
    equal((1, "", "mqloop: line 1: the first line has the type meta\n"),
          db(folder, "import", "new.db", "-", typed=lines_of(EVERYTHING[1:])))


@test
def export_shows_one_state_while_a_broker_writes(folder):
    path = make(folder)
    before = well(folder, "export", "mqloop.db")
    broker = sqlite3.connect(path, isolation_level=None)
    broker.execute("BEGIN IMMEDIATE")
    broker.execute("DELETE FROM session")
    equal(before, well(folder, "export", "mqloop.db"))
    contains("ok: 2 sessions", well(folder, "check", "mqloop.db"))
    broker.execute("COMMIT")
    equal([], rows_of(well(folder, "export", "mqloop.db"), "session"))
    broker.close()


# ---- check ----


@test
def check_finds_what_does_not_fit(folder):
    for number, (statement, complaint) in enumerate((
        ("DELETE FROM message WHERE number=640", "1 deliveries of a message that is not there"),
        ("DELETE FROM message WHERE number=64", "1 messages of a group that are not there"),
        ("DELETE FROM session WHERE number=7", "1 deliveries to a session that is not there"),
        ("DELETE FROM session WHERE number=1", "2 subscriptions of a session that is not there"),
        ("DELETE FROM session WHERE number=7", "1 packet identifiers of a session that is not there"),
        ("INSERT INTO ended VALUES(7)", "1 sessions that are ended and there"),
        ("INSERT INTO message VALUES(1,'t',x'',x'',0,0,NULL)", "1 messages that nobody is to have"),
        ("UPDATE delivery SET message=64 WHERE number=4",
         "1 received deliveries with a message, or without a packet identifier"),
        ("UPDATE delivery SET message=NULL WHERE number=3", "1 deliveries without a message"),
        ("UPDATE delivery SET qos=0 WHERE number=3", "1 deliveries with a QoS or packet identifier that there is not"),
        ("UPDATE delivery SET packet_id=1 WHERE number=3", "1 packet identifiers of which a session has two"),
        ("UPDATE meta SET value=0 WHERE key='delivery'", "1 numbers that would be given a second time"),
        ("DELETE FROM meta WHERE key='batch'", "1 rows missing in meta"),
        ("UPDATE message SET topic='a/#' WHERE number=64",
         "1 messages with a topic, properties or QoS that there is not"),
        ("UPDATE subscription SET filter='a#' WHERE qos=2", "1 topic filters that are none"),
        ("UPDATE session SET client_id=x'' WHERE number=1", "1 client identifiers that are none"),
    )):
        name = f"{number}.db"
        broken = sqlite3.connect(make(folder, name))
        broken.execute(statement)
        broken.commit()
        broken.close()
        code, out, err = db(folder, "check", name)
        equal((1, ""), (code, err))
        contains(f"{name}: {complaint}\n", out)


@test
def check_finds_a_page_that_is_damaged(folder):
    path = make(folder)
    bytes_ = bytearray(path.read_bytes())
    bytes_[4096 * 5:4096 * 5 + 100] = b"\xff" * 100
    path.write_bytes(bytes_)
    code, out, err = db(folder, "check", "mqloop.db")
    equal(1, code)
    equal(True, bool(out + err))


@test
def what_is_no_database_of_ours_is_told(folder):
    folder.write("text", "hello " * 100)
    foreign = sqlite3.connect(folder.path / "foreign.db")
    foreign.execute("CREATE TABLE mine(x)")
    foreign.commit()
    foreign.close()
    for action in ("check", "compact", "export"):
        equal((1, "", "mqloop: none.db: No such file or directory\n"), db(folder, action, "none.db"))
        equal((1, "", "mqloop: text: file is not a database (SQLite 26)\n"), db(folder, action, "text"))
        equal((1, "", "mqloop: foreign.db: a database, but not one of mqloop\n"), db(folder, action, "foreign.db"))
    equal(False, (folder.path / "none.db").exists())


# ---- compact ----


@test
def compact_makes_it_small(folder):
    path = make(folder)
    bloated = sqlite3.connect(path)
    bloated.executemany("INSERT INTO message VALUES(?,'t',zeroblob(1000),x'',0,0,NULL)", [(n,) for n in range(1000, 3000)])
    bloated.commit()
    bloated.execute("DELETE FROM message WHERE number>=1000")
    bloated.commit()
    bloated.close()
    text = well(folder, "export", "mqloop.db")
    out = well(folder, "compact", "mqloop.db")
    after, before = re.fullmatch(r"mqloop.db: (\d+) bytes, before (\d+)\n", out).groups()
    equal(True, int(before) > 2_000_000 and int(after) < 100_000)
    equal(int(after), path.stat().st_size)
    equal(text, well(folder, "export", "mqloop.db"))


@test
def compact_and_import_refuse_while_a_broker_has_it(folder):
    path = make(folder)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        complaint = "mqloop: mqloop.db: process 4711 has it open\n"
        equal((1, "", complaint), db(folder, "compact", "mqloop.db"))
        equal((1, "", complaint), db(folder, "import", "mqloop.db", "-", typed=lines_of(EVERYTHING)))
        contains("ok: 2 sessions", well(folder, "check", "mqloop.db"))
    well(folder, "compact", "mqloop.db")


@test
def db_command_lines_that_are_wrong_end_with_2(folder):
    tail = "; mqloop db --help tells more\n"
    for arguments, complaint in (
        ([], "db: check, compact, export or import?"),
        (["frob"], "db: there is no 'frob', only check, compact, export and import"),
        (["check"], "db check takes one FILE"),
        (["check", "a", "b"], "db check takes one FILE"),
        (["import", "a"], "db import takes FILE and FROM"),
        (["compact", "-x"], "db compact: unknown option '-x'"),
    ):
        equal((2, "", f"mqloop: {complaint}{tail}"), db(folder, *arguments))
    code, out, err = db(folder, "--help")
    equal((0, ""), (code, err))
    contains("mqloop db import FILE FROM", out)


# ---- a file of mosquitto ----


class Mosquitto:
    """Debian's, with persistence in the folder, on a port of its own."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.path = folder.path
        user = "user root\n" if os.geteuid() == 0 else ""
        folder.write("m.conf", f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
                               f"persistence_location {self.path}/\n{user}")
        self.process = subprocess.Popen([MOSQUITTO, "-c", "m.conf"], cwd=self.path, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError("mosquitto does not start")
            time.sleep(0.02)

    def call(self, program, *arguments):
        subprocess.run([program, "-h", "127.0.0.1", "-p", str(self.port), *arguments], check=True, timeout=PATIENCE,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def subscribe(self, *arguments):
        self.call("mosquitto_sub", "-c", "-E", *arguments)

    def publish(self, *arguments):
        self.call("mosquitto_pub", *arguments)

    def save(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Client:
    """Just enough of MQTT 3.1.1 to leave things half done."""

    def __init__(self, port, client_id):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.send(0x10, b"\0\4MQTT\4\0\0\0" + self.string(client_id))
        equal(0x20, self.receive()[0])

    @staticmethod
    def string(text):
        return struct.pack(">H", len(text)) + text.encode()

    def send(self, first, body):
        self.socket.sendall(bytes([first, len(body)]) + body)

    def receive(self):
        first, size = self.exactly(2)
        return first, self.exactly(size)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise AssertionError("the connection ended")
            data += part
        return data


@test
def everything_that_mosquitto_kept_is_taken(folder):
    with Mosquitto(folder) as broker:
        broker.subscribe("-V", "mqttv5", "-i", "five", "-x", "3600", "-u", "anna", "-P", "x", "-q", "2", "-t", "a/#",
                         "-t", "$share/g/b/#", "-D", "subscribe", "subscription-identifier", "9", "--retain-as-published")
        broker.subscribe("-V", "mqttv311", "-i", "three", "-q", "1", "-t", "a/+")
        for words in (
            ["-V", "mqttv5", "-t", "a/1", "-m", "one", "-q", "2", "-D", "publish", "content-type", "text/plain", "-D",
             "publish", "user-property", "k", "v", "-D", "publish", "message-expiry-interval", "5000"],
            ["-t", "a/2", "-m", "two", "-q", "1", "-r"],
            ["-t", "keep", "-m", "kept", "-r"],
            ["-t", "a/3", "-n", "-q", "1"],
        ):
            broker.publish(*words)
        # Sent and not answered, answered by PUBREC, and published without PUBREL.
        slow = Client(broker.port, "slow")
        slow.send(0x82, b"\0\1" + slow.string("s/#") + b"\2")
        equal(0x90, slow.receive()[0])
        broker.publish("-t", "s/1", "-m", "1", "-q", "2")
        broker.publish("-t", "s/2", "-m", "2", "-q", "1")
        _, first = slow.receive()
        _, second = slow.receive()
        slow.send(0x50, first[5:7])
        equal(0x62, slow.receive()[0])
        half = Client(broker.port, "half")
        half.send(0x34, half.string("a/half") + b"\0\x07half")
        equal((0x50, b"\0\x07"), half.receive())
        broker.save()
    equal("mqloop.db: 4 sessions, 3 subscriptions, 10 messages on their way, 2 retained messages\n",
          well(folder, "import", "mqloop.db", "mosquitto.db"))
    contains("mqloop.db: ok: 4 sessions, 3 subscriptions", well(folder, "check", "mqloop.db"))
    text = well(folder, "export", "mqloop.db")

    sessions = {row["client_id"]: row for row in rows_of(text, "session")}
    equal({"five", "three", "slow", "half"}, set(sessions))
    equal(("anna", 3600), (sessions["five"]["user_name"], sessions["five"]["expiry_interval"]))
    equal((None, 0xFFFFFFFF), (sessions["three"].get("user_name"), sessions["three"]["expiry_interval"]))
    names = {row["number"]: client for client, row in sessions.items()}
    equal({("five", "a/#", 2, 9, 10), ("three", "a/+", 1, 0, 1), ("slow", "s/#", 2, 0, 2)},
          {(names[row["session"]], row["filter"], row["qos"], row["identifier"], row["options"])
           for row in rows_of(text, "subscription")})
    messages = {row["number"]: row for row in rows_of(text, "message")}

    def queue_of(client):
        rows = [row for row in rows_of(text, "delivery") if names[row["session"]] == client]
        return [(messages[row["message"]]["topic"] if "message" in row else "-", row["qos"], row.get("packet_id", 0),
                 row["received"]) for row in sorted(rows, key=lambda row: row["number"])]

    equal([("a/1", 2, 0, False), ("a/2", 1, 0, False), ("a/3", 1, 0, False), ("a/half", 2, 0, False)], queue_of("five"))
    equal([("a/1", 1, 0, False), ("a/2", 1, 0, False), ("a/3", 1, 0, False), ("a/half", 1, 0, False)], queue_of("three"))
    equal([("-", 2, int.from_bytes(first[5:7], "big"), True), ("s/2", 1, int.from_bytes(second[5:7], "big"), False)],
          queue_of("slow"))
    equal([{"session": sessions["half"]["number"], "packet_id": 7}], rows_of(text, "received"))
    one = next(row for row in messages.values() if row["topic"] == "a/1")
    equal(("one", 2, "AwAKdGV4dC9wbGFpbiYAAWsAAXY="), (one["payload"], one["qos"], one["properties_base64"]))
    equal(True, 4900 < one["expires_at"] / 1000 - time.time() < 5001)
    equal({("a/2", "two", 1), ("keep", "kept", 0)},
          {(row["topic"], row["payload"], row["qos"]) for row in rows_of(text, "retained")})


@test
def file_of_mosquitto_that_is_cut_or_damaged_is_refused_whole(folder):
    with Mosquitto(folder) as broker:
        broker.subscribe("-i", "a", "-q", "1", "-t", "#")
        broker.publish("-t", "t", "-m", "m", "-q", "1", "-r")
        broker.save()
    whole = (folder.path / "mosquitto.db").read_bytes()
    # The head of 23 bytes, and a cut between two chunks, is a file as well, a shorter one.
    whole_at = {23}
    while max(whole_at) < len(whole):
        place = max(whole_at)
        whole_at.add(place + 8 + int.from_bytes(whole[place + 4:place + 8], "big"))
    for size in range(1, len(whole)):
        if size in whole_at or size % 7:
            continue
        (folder.path / "cut.db").write_bytes(whole[:size])
        code, out, err = db(folder, "import", "new.db", "cut.db")
        equal((1, ""), (code, out))
        contains("mosquitto's file: ", err)
        equal(False, (folder.path / "new.db").exists())
    for version in (4, 7):
        (folder.path / "cut.db").write_bytes(whole[:22] + bytes([version]) + whole[23:])
        equal((1, "", f"mqloop: mosquitto's file: version {version} of mosquitto's format is not known, only 5 and 6\n"),
              db(folder, "import", "new.db", "cut.db"))
