"""System calls that Python has no function for. Standard library only."""

import ctypes
import os
import sys

IS_LINUX = sys.platform == "linux"
PR_SET_NO_NEW_PRIVS = 38


def call(number: int, *arguments: int | bytes | None) -> int:
    """
    What the kernel answers to a system call.

    Raises:
        OSError: an error number.
    """
    answer = _libc().syscall(ctypes.c_long(number), *map(_word, arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(answer)


def gain_no_privileges() -> None:
    """From now on no program that is started has more rights, as the kernel's walls require."""
    _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _word(argument: int | bytes | None) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
