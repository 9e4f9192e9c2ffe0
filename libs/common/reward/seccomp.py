"""
Linux's seccomp: of all system calls, this process keeps those that computing needs.

Everything that is not named here fails with EPERM: sockets, new processes and threads, signals to
others, writing to files, io_uring, ptrace, and what future kernels add. A Python program with
numpy, scipy and shapely runs in it. The filter is a program of the classic Berkeley packet filter
(`Documentation/userspace-api/seccomp_filter.rst`), made for x86-64 and arm64.
"""

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from libs.common.reward import kernel

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""How the kernel marks a call's architecture, and the column of `CALLS`."""
SECCOMP = {"x86_64": 317, "aarch64": 277}

CALLS: dict[str, tuple[int | None, int | None]] = {
    # files that are open, and the names of others
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "fstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    # memory
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "mincore": (27, 232),
    "brk": (12, 214),
    "membarrier": (324, 283),
    "get_mempolicy": (239, 236),
    # its own signals and timers
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "restart_syscall": (219, 128),
    # locks and time
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    # who and where it is
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
"""Numbers on x86-64 and arm64 of what is always allowed."""

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Condition(NamedTuple):
    """A call that is allowed by one of its arguments."""

    numbers: tuple[int | None, int | None]
    argument: int
    accepted: tuple[int, ...] = ()
    """Its values."""
    refused: int = 0
    """Bits of which none may be set, of 64."""


def list_conditions() -> list[Condition]:
    """Calls that computing needs in one form and mischief in another."""
    described = (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, 1030)  # and F_DUPFD_CLOEXEC
    is_terminal, close_on_exec = 0x5401, 0x5451
    return [
        Condition((2, None), 1, refused=WRITE_FLAGS),  # open
        Condition((257, 56), 2, refused=WRITE_FLAGS),  # openat
        Condition((16, 29), 1, accepted=(is_terminal, close_on_exec)),  # ioctl
        Condition((72, 25), 1, accepted=described),  # fcntl: not who gets a signal
        Condition((234, 131), 0, accepted=(os.getpid(),)),  # tgkill: itself, in abort()
        Condition((302, 261), 2, refused=2**64 - 1),  # prlimit64: no pointer to a new limit
    ]


LOAD, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16  # in the kernel's `struct seccomp_data`
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # the error number 1: EPERM
ACTION = 0xFFFF0000
X32_CALLS = 0x40000000  # numbers of another interface, on x86-64 only

SET_FILTER, QUESTION = 1, 2
ALL_THREADS, NO_SLOWDOWN = 1, 4


def is_available() -> bool:
    """Whether this kernel filters system calls and this architecture is one of ours."""
    machine = os.uname().machine
    if not kernel.IS_LINUX or machine not in ARCHITECTURES or struct.calcsize("P") != 8:
        return False  # a 32-bit Python has other calls, on the same machine
    try:
        kernel.call(SECCOMP[machine], QUESTION, 0, struct.pack("=I", REFUSE & ACTION))
    except OSError:
        return False
    return True


def keep_computing_only() -> None:
    """
    From now on all threads of this process have the calls that are named above, for good.

    Raises:
        OSError: the kernel refuses.
    """
    machine = os.uname().machine
    steps = list(build_filter(*ARCHITECTURES[machine]))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    kernel.gain_no_privileges()
    unready = kernel.call(SECCOMP[machine], SET_FILTER, ALL_THREADS | NO_SLOWDOWN, program)
    if unready:
        raise OSError(f"thread {unready} can't take the filter")


def build_filter(architecture: int, column: int) -> Iterator[bytes]:
    """The steps of the program that judges a system call."""
    yield step(LOAD, ARCHITECTURE_AT)
    yield step(EQUAL, architecture, 1, 0)
    yield step(RETURN, REFUSE)
    yield step(LOAD, NUMBER_AT)
    yield step(AT_LEAST, X32_CALLS, 0, 1)
    yield step(RETURN, REFUSE)
    for numbers in CALLS.values():
        number = numbers[column]
        if number is not None:
            yield step(EQUAL, number, 0, 1)
            yield step(RETURN, ALLOW)
    for condition in list_conditions():
        number = condition.numbers[column]
        if number is not None:
            block = list(_judge_argument(condition))
            yield step(EQUAL, number, 0, len(block))
            yield from block
    yield step(RETURN, REFUSE)


def _judge_argument(condition: Condition) -> Iterator[bytes]:
    """Allow or refuse by an argument; the kernel ignores the upper half of those with values."""
    lower_at = ARGUMENTS_AT + 8 * condition.argument
    if condition.refused:
        for at, bits in (
            (lower_at, condition.refused % 2**32),
            (lower_at + 4, condition.refused >> 32),
        ):
            yield step(LOAD, at)
            yield step(ANY_BIT, bits, 0, 1)
            yield step(RETURN, REFUSE)
        yield step(RETURN, ALLOW)
    yield step(LOAD, lower_at)
    for value in condition.accepted:
        yield step(EQUAL, value, 0, 1)
        yield step(RETURN, ALLOW)
    yield step(RETURN, REFUSE)


def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter`: the jumps count the steps that they leave out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
