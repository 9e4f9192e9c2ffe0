"""
The walls around user code inside the child. Standard library only.

Inside Python: a namespace without dangerous built-ins, in which only listed modules can be
imported, and an audit hook that refuses files, processes and sockets even to code that got hold of
a module behind another's back. Around Python, for code that gets out of it (`ctypes`): the kernel's
limits everywhere, and on Linux Landlock for files and seccomp for everything else. Libraries' own
imports go their normal way: only the user's namespace has the guarded import.
"""

import builtins
import os
import resource
import site
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from libs.common.reward import landlock, seccomp
from libs.common.reward.limits import ALLOWED_MODULES, RewardLimits

LANDLOCK, SECCOMP = "Landlock", "seccomp"

REFUSED_BUILTINS = ("open", "exec", "eval", "compile", "input", "breakpoint", "help")

REFUSED_EVENTS = frozenset(
    {
        "_thread.start_new_thread",
        "ctypes.call_function",
        "ctypes.cdata",
        "ctypes.dlsym/handle",
        "ctypes.string_at",
        "ctypes.wstring_at",
        "ftplib.connect",
        "gc.get_objects",
        "gc.get_referents",
        "gc.get_referrers",
        "os.chdir",
        "os.chflags",
        "os.chmod",
        "os.chown",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.setxattr",
        "os.spawn",
        "os.symlink",
        "os.system",
        "os.truncate",
        "os.utime",
        "pty.spawn",
        "resource.prlimit",
        "resource.setrlimit",
        "shutil.rmtree",
        "signal.pthread_kill",
        "subprocess.Popen",
        "urllib.Request",
    }
)
REFUSED_FAMILIES = ("fcntl.", "socket.", "syslog.")

MAX_DESCRIPTORS = 64

SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")


def user_builtins() -> dict[str, Any]:
    """The built-ins of user code."""
    allowed = dict(vars(builtins))
    for name in REFUSED_BUILTINS:
        allowed[name] = _refused(name)
    allowed["__import__"] = guarded_import
    return allowed


def guarded_import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """`__import__` of user code: listed modules and their submodules."""
    top = name.partition(".")[0]
    if level or top not in ALLOWED_MODULES:
        accepted = ", ".join(sorted(ALLOWED_MODULES - {"__future__"}))
        raise ImportError(f"a reward function can't import {name!r}; accepted: {accepted}")
    return builtins.__import__(name, globals, locals, fromlist or (), level)


def raise_walls(limits: RewardLimits, requests: int) -> None:
    """
    Shut this process in, for good; it ends when the pipe of its requests is hung up.

    Raises:
        OSError: the kernel has a wall and refuses to raise it.
    """
    missing = missing_walls()
    if LANDLOCK not in missing:
        landlock.allow_reading(_readable_folders())
    die_with_parent(requests)
    set_limits(limits)
    if SECCOMP not in missing:
        seccomp.keep_computing_only()
    refuse_side_effects()


def missing_walls() -> list[str]:
    """The names of the kernel's walls that this machine does not have."""
    has = {LANDLOCK: landlock.find_version() > 0, SECCOMP: seccomp.is_available()}
    return [name for name, there in has.items() if not there]


def set_limits(limits: RewardLimits) -> None:
    """Let the kernel enforce memory, no growing files, few descriptors, no core dumps."""
    for kind, amount in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(kind, (most, most))


def refuse_side_effects() -> None:
    """From now on refuse files outside the libraries, processes and sockets. For good."""
    readable = tuple(os.path.realpath(folder) + "/" for folder in _library_folders())

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            _check_open(args, readable)
        elif event in ("os.listdir", "os.scandir"):
            _check_readable(args[0], readable)
        elif event == "ctypes.dlsym":
            _check_symbol(args[1])
        elif event in REFUSED_EVENTS or event.startswith(REFUSED_FAMILIES):
            raise PermissionError(f"a reward function can't use {event}")

    sys.addaudithook(watch)


def die_with_parent(descriptor: int) -> None:
    """
    End this process as soon as the other end of the pipe is closed, whatever it is doing.

    A thread that waits for the hang-up: the kernel's parent-death signal would fire when the
    *thread* that started the child ends.
    """
    import select

    def wait() -> None:
        hang_up = select.poll()
        hang_up.register(descriptor, 0)
        hang_up.poll()
        os._exit(0)

    threading.Thread(target=wait, name="die-with-parent", daemon=True).start()


def _refused(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise NameError(f"{name}() is not available to a reward function")

    return refuse


def _library_folders() -> list[str]:
    standard_library = os.__file__.removesuffix("os.py")
    return [standard_library, *site.getsitepackages()]


def _readable_folders() -> list[str]:
    """Python's libraries, and the system's that those need."""
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    prefixes = [f"{prefix}/{name}" for prefix in python for name in ("lib", "lib64")]
    return [*_library_folders(), *prefixes, *SYSTEM_LIBRARIES]


def _check_open(args: tuple[Any, ...], readable: tuple[str, ...]) -> None:
    path, _, flags = args
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    if (flags or 0) & writes:
        raise PermissionError(f"a reward function can't write to {path!r}")
    _check_readable(path, readable)


def _check_readable(path: Any, readable: tuple[str, ...]) -> None:
    if isinstance(path, int):  # a descriptor that is open already
        return
    name = os.path.realpath(os.fsdecode(path or "."))
    if not name.startswith(readable):
        raise PermissionError(f"a reward function can't read {name!r}")


def _check_symbol(name: Any) -> None:
    """Libraries look up the interpreter's own functions; nothing else is to be had."""
    if not str(name).startswith(("Py", "_Py")):
        raise PermissionError(f"a reward function can't use the C function {name!r}")
