"""Has the calls of a broker on its database fail, by preloading faults.c."""
from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
WRITE, SYNC, TRUNCATE = 1, 2, 4
ANY = WRITE | SYNC | TRUNCATE
FOR_GOOD = -1
FIELDS = struct.Struct('=5i')  # Control of faults.c


class Faults:
    def __init__(self, folder: str):
        self.library = os.path.join(folder, 'faults.so')
        compiler = os.environ.get('CC') or shutil.which('gcc') or 'cc'
        subprocess.run(
            [compiler, '-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', self.library]
            + [os.path.join(HERE, 'faults.c'), '-ldl'],
            check=True, timeout=120,
        )
        self.control = os.path.join(folder, 'faults')
        with open(self.control, 'w+b') as file:
            file.write(bytes(FIELDS.size))
            file.flush()
            self.memory = mmap.mmap(file.fileno(), FIELDS.size)

    def environment(self) -> dict:
        return {'LD_PRELOAD': self.library, 'MQLOOP_FAULTS': self.control}

    def begin(self, error: int, calls: int = ANY, spared: int = 0, times: int = FOR_GOOD):
        """After `spared` of such calls so many fail with that errno."""
        self.end()
        self.memory[4 : FIELDS.size] = FIELDS.pack(0, error, spared, times, 0)[4:]
        self.memory[:4] = calls.to_bytes(4, 'little')

    def end(self):
        self.memory[:4] = bytes(4)

    def failed(self) -> int:
        return FIELDS.unpack(self.memory[:])[4]
