"""Disks that fail on purpose: file systems in a mount namespace of this process, which end with it.

`enter_namespace` runs the program again in such a namespace; `why_not` tells what this machine does not allow."""
from __future__ import annotations

import fcntl
import functools
import os
import shutil
import struct
import subprocess
import sys
import time

MARK = 'MQLOOP_CRASH_NAMESPACE'
EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2
DISK_MIB = 512


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f'{command[0]}: {done.stderr.strip()}')


def enter_namespace(needs_devices: bool):
    """With loop devices it takes root; a tmpfs may be mounted by whoever may have a user namespace."""
    if os.environ.get(MARK):
        return
    kind = ['-m'] if needs_devices or os.geteuid() == 0 else ['-rm']
    os.environ[MARK] = '1'
    os.execvp('unshare', ['unshare', *kind, '--propagation', 'private', sys.executable, *sys.argv])


@functools.cache
def why_not(needs_devices: bool) -> str:
    """'' when mounts are allowed here."""
    if shutil.which('unshare') is None:
        return 'unshare is not installed'
    if needs_devices and os.geteuid() != 0:
        return 'only root may mount a loop device'
    if needs_devices and not shutil.which('mkfs.ext4', path='/usr/sbin:/sbin:' + os.environ.get('PATH', '')):
        return 'mkfs.ext4 is not installed'
    kind = '-m' if needs_devices or os.geteuid() == 0 else '-rm'
    trial = 'd=$(mktemp -d) && trap "rmdir $d" EXIT && mount -t tmpfs none $d && umount $d'
    if needs_devices:
        trial = (
            'd=$(mktemp -d) && trap "rm -rf $d" EXIT && mkdir $d/m && truncate -s 8M $d/i && PATH=$PATH:/usr/sbin:/sbin '
            'mkfs.ext4 -q $d/i && mount -o loop $d/i $d/m && umount $d/m'
        )
    done = subprocess.run(['unshare', kind, 'sh', '-c', trial], capture_output=True, text=True, check=False)
    return '' if done.returncode == 0 else f'mounts are not allowed here: {done.stderr.strip().splitlines()[-1:]}'


class Tmpfs:
    def __init__(self, place: str, size: str):
        self.place, self.size = place, size

    def mount(self):
        os.makedirs(self.place, exist_ok=True)
        run('mount', '-t', 'tmpfs', '-o', f'size={self.size}', 'none', self.place)

    def remount(self, options: str):
        run('mount', '-o', f'remount,{options}', self.place)

    def unmount(self):
        run('umount', self.place)


class Ext4:
    """On a loop device over a file that need not be larger than what is written."""

    def __init__(self, image: str, place: str):
        self.image, self.place = image, place
        with open(image, 'wb') as file:
            file.truncate(DISK_MIB << 20)
        run(shutil.which('mkfs.ext4', path='/usr/sbin:/sbin:' + os.environ.get('PATH', '')), '-q', image)

    def mount(self):
        os.makedirs(self.place, exist_ok=True)
        run('mount', '-o', 'loop,errors=remount-ro', self.image, self.place)

    def cut_power(self):
        """From now on nothing reaches the disk, and nothing of its journal either that has not yet."""
        place = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(place, EXT4_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
        finally:
            os.close(place)

    def become_read_only(self):
        """As the kernel makes it when it finds a fault of the file system."""
        number = os.stat(self.place).st_dev
        device = os.path.basename(os.path.realpath(f'/sys/dev/block/{os.major(number)}:{os.minor(number)}'))
        with open(f'/sys/fs/ext4/{device}/trigger_fs_error', 'w', encoding='ascii') as file:
            file.write('made read-only by a test')

    def unmount(self):
        for _ in range(100):  # a process that has just been killed may still hold it
            try:
                run('umount', self.place)
                return
            except OSError as error:
                if 'busy' not in str(error):
                    raise
                time.sleep(0.05)
        raise OSError(f'{self.place} stays busy')
