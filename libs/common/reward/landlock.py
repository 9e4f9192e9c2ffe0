"""
Linux's Landlock: this process reads the named folders and nothing else of the file system.

No root and no package is needed: three system calls, since Linux 5.13 (the kernel's
`Documentation/userspace-api/landlock.rst`). Later versions of the interface also shut TCP and keep
signals inside.
"""

import os
import struct
from collections.abc import Iterable

from libs.common.reward import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
VERSION_QUESTION = 1
RULE_PATH_BENEATH = 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights on files that a version knows: what is not granted is refused."""
NET_SINCE, TCP = 4, 0b11  # bind, connect
SCOPE_SINCE, SCOPES = 6, 0b11  # abstract Unix sockets, signals: none to processes outside


def find_version() -> int:
    """The version of the interface; 0 where the kernel has none."""
    try:
        return kernel.call(CREATE_RULESET, None, 0, VERSION_QUESTION) if kernel.IS_LINUX else 0
    except OSError:
        return 0


def allow_reading(paths: Iterable[str]) -> None:
    """
    From now on this thread and those it starts read these folders and files, and that is all.

    Raises:
        OSError: the kernel refuses.
    """
    rules = _create(find_version())
    try:
        for path in paths:
            _allow(rules, path)
        kernel.gain_no_privileges()
        kernel.call(RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _create(version: int) -> int:
    """A descriptor of rules that grant nothing yet."""
    rights = FILE_RIGHTS[max(known for known in FILE_RIGHTS if known <= version)]
    numbers = [rights]
    if version >= NET_SINCE:
        numbers.append(TCP)
    if version >= SCOPE_SINCE:
        numbers.append(SCOPES)
    attributes = struct.pack(f"={len(numbers)}Q", *numbers)
    return kernel.call(CREATE_RULESET, attributes, len(attributes), 0)


def _allow(rules: int, path: str) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE  # noqa: PTH112
    try:
        kernel.call(ADD_RULE, rules, RULE_PATH_BENEATH, struct.pack("=Qi", rights, parent), 0)
    finally:
        os.close(parent)
