"""auth_file in a broker that runs: files that mosquitto_passwd and `mqloop passwd` wrote, with clients right and wrong."""
import os
import shutil
import subprocess
import threading
import time

import wire
from served import BUILD, PATIENCE, Client, Served

MQLOOP = os.path.abspath(os.environ.get('MQLOOP') or os.path.join(BUILD, 'bin', 'mqloop'))
MOSQUITTOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'mosquitto_2.0.11.pw')
# What mosquitto_passwd was given for it.
PASSWORDS = {'alice': 'wonder land', 'bob': 'hunter2', 'sensor-7': 's3cret', 'old': 'of 1.6', 'zo\u00eb': '\u00fcn\u00efcode \u20ac'}
BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, SERVER_BUSY = 0x86, 0x87, 0x89
VERSIONS = (3, 4, 5)


class Guarded(Served):
    """A broker with the users of users.pw, which is a copy of `file` or is left to the test."""

    def __init__(self, file=None, options=''):
        super().__init__('')
        self.users = os.path.join(self.folder, 'users.pw')
        if file:
            shutil.copy(file, self.users)
        # A hash takes as long as the machine wants; no answer is ever late.
        self.yaml = f'''plugins: [{{name: users, plugin: auth_file, config: {{file: users.pw{options}}}, timeout: 10m}}]
auth: {{anonymous: never, chains: {{default: {{authenticate: [users]}}}}}}
'''

    def passwd(self, *arguments):
        subprocess.run([MQLOOP, 'passwd', *arguments], cwd=self.folder, check=True, timeout=PATIENCE)

    def denied(self, client, reason):
        # A turn's lines are written at its end, after the answer may have arrived.
        deadline = time.monotonic() + PATIENCE
        lines = []
        while not lines and time.monotonic() < deadline:
            lines = [line for line in self.log().splitlines() if ' auth deny ' in line and f'client={client} ' in line]
        assert len(lines) == 1 and 'by=users' in lines[0] and f'reason={reason}' in lines[0], (reason, lines)


def fails_to_start(broker):
    """The status and the log of a broker that will not start."""
    try:
        broker.launch()
        return broker.process.wait(PATIENCE), broker.log()
    finally:
        broker.clean_up()


def test_users_of_a_file_that_mosquitto_wrote_get_in_and_nobody_else():
    for version in VERSIONS:
        with Guarded(MOSQUITTOS) as broker:  # which tells of ten refusals a minute
            bad, nobody = (BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED) if version == 5 else (4, 5)
            for user, password in PASSWORDS.items():
                broker.client('right', version=version, user=user, password=password)
                assert broker.refusal(f'w{version}', version=version, user=user, password=password + 'x') == bad
            assert broker.refusal(f'u{version}', version=version, user='stranger', password='hunter2') == bad
            assert broker.refusal(f'a{version}', version=version) == nobody
            assert broker.refusal(f'e{version}', version=version, user='bob', password='') == bad
            if version != 3:
                assert broker.refusal(f'o{version}', version=version, user='bob') == bad
            broker.denied(f'u{version}', 'unknown_user')
            broker.denied(f'e{version}', 'bad_password')


def mosquitto_pub(broker, *arguments):
    done = subprocess.run(
        ['mosquitto_pub', '-p', str(broker.address[1]), '-t', 't', '-m', 'm', '-q', '1', *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
    )
    return done.returncode, done.stdout


def test_mosquitto_pub_with_the_password_right_wrong_and_left_out():
    with Guarded(MOSQUITTOS) as broker:
        for version, bad, nobody in (('mqttv311', 4, 5), ('mqttv5', BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED)):
            version = ('-V', version)
            assert mosquitto_pub(broker, *version, '-u', 'bob', '-P', 'hunter2') == (0, '')
            assert mosquitto_pub(broker, *version, '-u', 'bob', '-P', 'Hunter2')[0] == bad
            assert mosquitto_pub(broker, *version, '-u', 'stranger', '-P', 'hunter2')[0] == bad
            assert mosquitto_pub(broker, *version, '-u', 'bob')[0] == bad
            assert mosquitto_pub(broker, *version)[0] == nobody


def test_what_mqloop_passwd_writes_lets_in():
    broker = Guarded()
    broker.passwd('-c', '-b', 'users.pw', 'scrypt', 'p1')
    broker.passwd('-b', '-H', 'argon2id', 'users.pw', 'argon2id', 'p2')
    broker.passwd('-b', '-H', 'sha512-pbkdf2', 'users.pw', 'pbkdf2', 'p3')
    broker.passwd('-b', 'users.pw', 'gone', 'p4')
    broker.passwd('-D', 'users.pw', 'gone')
    with broker:
        for user, password in (('scrypt', 'p1'), ('argon2id', 'p2'), ('pbkdf2', 'p3')):
            broker.client(user, user=user, password=password)
            assert broker.refusal(f'not-{user}', user=user, password='p4') == BAD_USER_NAME_OR_PASSWORD
        assert broker.refusal('gone', user='gone', password='p4') == BAD_USER_NAME_OR_PASSWORD


def test_cve_2021_46434_stranger_and_wrong_password_get_the_same_packet():
    with Guarded(MOSQUITTOS) as broker:
        for version in VERSIONS:
            answers = set()
            for user in ('bob', 'stranger'):
                with Client(broker.address) as client:
                    client.start_connecting('x', version, user=user, password='wrong')
                    answers.add((client.next(), client.next()))
            assert len(answers) == 1, answers


def test_emqx_17657_password_is_never_in_the_log():
    broker = Guarded(MOSQUITTOS)
    broker.yaml += 'logging: {level: trace}\n'
    with broker:
        for user in ('bob', 'stranger'):
            broker.refusal('x', user=user, password='canary-7f3a')
        broker.client('right', user='bob', password='hunter2')
        for secret in ('canary', 'hunter2'):
            assert secret not in broker.log(), broker.log()


def test_missing_password_file_says_how_to_create_it():
    broker = Guarded()
    status, log = fails_to_start(broker)
    assert status == 5, (status, log)
    assert f'mqloop.yaml:4:59: users.pw: no such file (looked in {broker.folder}); ' in log, log
    assert f'create it: mqloop passwd -c {broker.folder}/users.pw NAME\n' in log, log


def test_cve_2018_12551_one_bad_line_keeps_the_broker_from_starting():
    for line, complaint in (
        ('eve', '6:4: a line is NAME:HASH, and here is no'),
        ('eve:', "6:5: user 'eve' has no hash"),
        (':$6$x$y', '6:1: the user name is empty'),
        ('eve:canary', "6:5: user 'eve': this is no hash, and passwords in plain text are refused"),
        ('bob:' + open(MOSQUITTOS).read().split(':')[1].split('\n')[0], "6:1: user 'bob' is on line 2 already"),
    ):
        broker = Guarded(MOSQUITTOS)
        with open(broker.users, 'a') as out:
            out.write(line + '\n')
        status, log = fails_to_start(broker)
        assert status == 3, (status, log)
        assert f'{broker.users}:{complaint}' in log, log
        assert 'canary' not in log, log


def test_file_that_everybody_can_read_is_warned_of():
    for mode, warned in ((0o600, False), (0o644, True)):
        broker = Guarded(MOSQUITTOS)
        os.chmod(broker.users, mode)
        with broker:
            assert ('everybody on this machine can read the password file' in broker.log()) == warned, broker.log()


def test_more_logins_than_can_be_hashed_are_told_that_the_server_is_busy():
    broker = Guarded(options=', max_waiting: 2')
    broker.passwd('-c', '-b', '--cost', '17', 'users.pw', 'bob', 'p')  # some 0.3 s a hash
    with broker:
        codes, lock = [], threading.Lock()

        def log_in(number):
            version = 4 if number % 2 else 5
            code = broker.refusal(f'c{number}', version=version, user='bob', password=f'wrong {number}')
            with lock:
                codes.append((version, code))

        threads = [threading.Thread(target=log_in, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(codes) <= {(5, BAD_USER_NAME_OR_PASSWORD), (5, SERVER_BUSY), (4, 4), (4, 3)}, codes
        assert (5, SERVER_BUSY) in codes and (4, 3) in codes, codes
        assert {(5, BAD_USER_NAME_OR_PASSWORD), (4, 4)} & set(codes), codes
        broker.client('right', user='bob', password='p')  # and it is over
        assert broker.log().count('more logins than passwords can be checked') == 1, broker.log()


def test_clients_that_come_back_are_in_at_once():
    broker = Guarded()
    broker.passwd('-c', '-b', '--cost', '17', 'users.pw', 'bob', 'p')
    with broker:
        broker.client('first', user='bob', password='p')
        clients = []
        for number in range(300):  # at 0.3 s a hash and more that would be a minute and a half
            clients.append(Client(broker.address))
            clients[-1].start_connecting(f'c{number}', user='bob', password='p')
        for client in clients:
            assert client.expect(wire.CONNACK)[1] == 0
            client.socket.close()


def test_nanomq_2191_a_client_that_leaves_user_name_or_password_out_is_judged_like_any_other():
    """Absent is not empty and is no name: the plugin is told which, and the broker goes on."""
    with Guarded(MOSQUITTOS) as broker:
        for version in VERSIONS:
            missing = [{}, {'user': ''}, {'user': '', 'password': b''}]
            missing += [{'user': 'alice'}, {'user': 'alice', 'password': b''}]
            if version == 5:
                missing += [{'password': b''}, {'password': PASSWORDS['alice'].encode()}]
            for number, fields in enumerate(missing):
                code = broker.refusal(f'c{version}-{number}', version=version, **fields)
                expected = (BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED) if version == 5 else (4, 5)
                assert code in expected, (version, fields, code)
            broker.client(f'right-{version}', version=version, user='alice', password=PASSWORDS['alice'].encode())
