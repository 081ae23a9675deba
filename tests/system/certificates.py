"""Certificates for tests, made by the openssl command: an authority of one's own, what it issues and what it takes back."""
from __future__ import annotations

import os
import subprocess

CONFIGURATION = """
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
serial = serial
default_md = sha256
default_crl_days = 30
policy = any
unique_subject = no
rand_serial = yes
[any]
organizationName = optional
commonName = optional
[req]
distinguished_name = nobody
x509_extensions = authority
[nobody]
[authority]
basicConstraints = critical,CA:true
keyUsage = keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""
KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
LOCAL_NAMES = 'DNS:localhost,IP:127.0.0.1'


def openssl(folder: str, *arguments: str) -> str:
    result = subprocess.run(['openssl', *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f'openssl {" ".join(arguments)}:\n{result.stderr}')
    return result.stdout


class Pair:
    """A certificate and its key, as the paths of two files."""

    def __init__(self, cert: str, key: str):
        self.cert, self.key = cert, key

    def __iter__(self):
        return iter((self.cert, self.key))

    def as_settings(self) -> dict:
        return {'cert': self.cert, 'key': self.key}


class Authority:
    def __init__(self, folder: str, name: str = 'Test Authority'):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.write('openssl.cnf', CONFIGURATION)
        self.write('index.txt', '')
        arguments = ['-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', f'/CN={name}']
        openssl(folder, 'req', '-config', 'openssl.cnf', '-x509', *KEY, *arguments)

    def write(self, name: str, text: str):
        with open(os.path.join(self.folder, name), 'w', encoding='ascii') as file:
            file.write(text)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    @property
    def root(self) -> str:
        return self.path('ca.pem')

    def issue(self, file: str, subject: str, names: str = LOCAL_NAMES, begins: str = '', ends: str = '') -> Pair:
        """`begins` and `ends` are YYMMDDHHMMSSZ; without them it is good for a month."""
        openssl(
            self.folder, 'req', '-config', 'openssl.cnf', *KEY, '-keyout', f'{file}.key', '-out', f'{file}.csr', '-subj', subject
        )
        self.write(f'{file}.ext', f'subjectAltName={names}\n' if names else 'basicConstraints=CA:false\n')
        dates = [*(['-startdate', begins] if begins else []), *(['-enddate', ends] if ends else ['-days', '30'])]
        openssl(
            self.folder, 'ca', '-config', 'openssl.cnf', '-batch', '-notext', '-in', f'{file}.csr', '-out', f'{file}.pem',
            '-extfile', f'{file}.ext', *dates,
        )  # fmt: skip
        os.chmod(self.path(f'{file}.key'), 0o600)
        return Pair(self.path(f'{file}.pem'), self.path(f'{file}.key'))

    def expired(self, file: str, subject: str) -> Pair:
        return self.issue(file, subject, begins='200101000000Z', ends='200201000000Z')

    def revoke(self, pair: Pair):
        openssl(self.folder, 'ca', '-config', 'openssl.cnf', '-revoke', pair.cert)

    def revocations(self) -> str:
        """The path of a list of what was revoked until now, put in the place of the one before."""
        openssl(self.folder, 'ca', '-config', 'openssl.cnf', '-gencrl', '-out', 'crl.new')
        os.rename(self.path('crl.new'), self.path('crl.pem'))
        return self.path('crl.pem')
