"""The walls around a reward function: every way out that was tried, none of which leads out."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from libs.common.reward.errors import RewardError
from libs.common.reward.guard import missing_walls
from libs.common.reward.limits import RewardLimits
from libs.common.reward.process import RewardProcess
from tests.reward_sources import SHORT, STEP, failure_of, function, start

kernel_walls = pytest.mark.skipif(bool(missing_walls()), reason="the kernel has not all walls")

REACH = (  # modules, and what the child's own code holds
    "real = json.decoder.__builtins__['__import__']\n"
    "os, sys = random._os, random._os.sys\n"
    "frame = sys._getframe()\n"
    "while 'replies' not in frame.f_locals: frame = frame.f_back\n"
    "sandbox, replies = frame.f_locals['sandbox'], frame.f_locals['replies']\n"
    "def answer(body):\n"
    "    os.write(replies, len(body).to_bytes(4, 'big') + body)\n"
    "    os._exit(0)\n"
)


def attack(body: str) -> str:
    return "import random, json\n" + function(REACH + body + "\nreturn 1.0")


WAYS_OUT = [
    # files
    "os.mkdir('{target}')",
    "os.open('{target}', os.O_CREAT | os.O_WRONLY)",
    "real('io').FileIO('{target}', 'w')",
    "real('_io').open_code('/etc/passwd')",
    "real('sqlite3').connect('{target}')",
    "os.symlink('/etc/passwd', '{target}')",
    "os.mkfifo('{target}')",
    "os.listdir('/')",
    "os.chmod('/', 0o777)",
    "real('pathlib').Path('/etc/passwd').read_text()",
    "json.decoder.__builtins__['open']('/etc/passwd')",
    "json.decoder.__builtins__['open']('{target}', 'w')",
    "json.decoder.__builtins__['open']('/proc/%d/mem' % os.getppid(), 'rb')",
    "json.decoder.__builtins__['open']('/proc/self/environ')",
    "np.loadtxt('/etc/passwd')",
    "np.memmap('/etc/passwd')",
    "np.save('{target}', np.zeros(3))",
    "np.zeros(3).tofile('{target}')",
    # processes and threads
    "os.system('touch {target}')",
    "os.fork()",
    "os.execv('/bin/sh', ['sh', '-c', 'touch {target}'])",
    "os.posix_spawn('/bin/sh', ['sh', '-c', 'touch {target}'], {{}})",
    "real('subprocess').run(['touch', '{target}'])",
    "real('multiprocessing').Process(target=print).start()",
    "real('threading').Thread(target=print).start()",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close']"
    "[0].__init__.__globals__['popen']('touch {target}')",
    # signals and limits
    "os.kill(os.getppid(), 9)",
    "os.killpg(0, 9)",
    "real('fcntl').fcntl(0, real('fcntl').F_SETOWN, os.getppid())",
    "real('resource').setrlimit(real('resource').RLIMIT_AS, (-1, -1))",
    # the network
    "real('socket').socket()",
    "real('http.client', fromlist=['x']).HTTPConnection('127.0.0.1').connect()",
    "real('syslog').syslog('hello')",
    # memory
    "np.ctypeslib.ctypes.CDLL(None).system(b'touch {target}')",
    "np.ctypeslib.ctypes.string_at(0)",
    "real('gc').get_objects()",
]


REFUSALS = (
    r"PermissionError: a reward function can't|\[Errno 13?\]"
    r"|NameError: open\(\)"  # NumPy's tofile finds the user's own
    r"|can't start new thread|unable to open database file|can't import '_io'"
)


@pytest.fixture(scope="module")
def prisoner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RewardProcess, Path]]:
    """A child that tries the way out whose number is in its params, and a folder to write to."""
    folder = tmp_path_factory.mktemp("outside")
    ways = "".join(f"    lambda: {way.format(target=folder / 'made')},\n" for way in WAYS_OUT)
    body = f"{REACH}ways = [\n{ways}]\nways[params['way']]()\nreturn 1.0"
    with start("import random, json\nimport numpy as np\n" + function(body)) as process:
        yield process, folder


@pytest.mark.parametrize("way", range(len(WAYS_OUT)), ids=WAYS_OUT)
def test_no_way_out_leads_out(way: int, prisoner: tuple[RewardProcess, Path]) -> None:
    process, folder = prisoner
    with pytest.raises(RewardError) as caught:
        process.rewards([{**STEP, "way": way}])
    assert caught.value.kind == "raised"
    assert re.search(REFUSALS, caught.value.reason), caught.value.reason
    assert list(folder.iterdir()) == []


# Python's walls down: what the kernel refuses by itself


NATIVE = """
import ctypes, os, sys
from libs.common.reward import guard
from libs.common.reward.limits import RewardLimits

guard.refuse_side_effects = lambda: None  # as if user code had got rid of it
folder, parent = sys.argv[1], os.getppid()
requests, hang_up = os.pipe()
guard.raise_walls(RewardLimits(), requests)
libc = ctypes.CDLL(None, use_errno=True)
MADE = (folder + "/made").encode()
FILE = (folder + "/file").encode()
HIGH = ctypes.c_void_p(2**32)
libc.mmap.restype = ctypes.c_void_p
assert libc.mmap(HIGH, 4096, 3, 0x100022, -1, 0) == HIGH.value  # MAP_FIXED_NOREPLACE
TRIES = {
    "read a file": lambda: libc.open(FILE, os.O_RDONLY),
    "write a file": lambda: libc.open(FILE, os.O_WRONLY),
    "create a file": lambda: libc.open(MADE, os.O_CREAT | os.O_RDWR, 0o600),
    "list a folder": lambda: libc.open(folder.encode(), os.O_RDONLY | os.O_DIRECTORY),
    "make a folder": lambda: libc.mkdir(MADE, 0o700),
    "remove a file": lambda: libc.unlink(FILE),
    "rename a file": lambda: libc.rename(FILE, MADE),
    "link a file": lambda: libc.link(FILE, MADE),
    "cut a file": lambda: libc.truncate(FILE, 0),
    "change its mode": lambda: libc.chmod(FILE, 0o777),
    "make a file of memory": lambda: libc.memfd_create(b"x", 0),
    "mount": lambda: libc.mount(b"x", b"/", b"tmpfs", 0, None),
    "change the root": lambda: libc.chroot(folder.encode()),
    "leave its namespaces": lambda: libc.unshare(0x10000000),
    "fork": lambda: libc.fork(),
    "execute": lambda: libc.execv(b"/bin/true", (ctypes.c_char_p * 2)(b"true", None)),
    "signal the parent": lambda: libc.kill(parent, 0),
    "signal the parent's thread": lambda: libc.syscall(TGKILL, parent, parent, 0),
    "have the parent signalled": lambda: libc.fcntl(requests, 8, parent),
    "trace the parent": lambda: libc.ptrace(16, parent, 0, 0),
    "read the parent's memory": lambda: libc.process_vm_readv(parent, None, 0, None, 0, 0),
    "raise its limits": lambda: libc.setrlimit(9, (ctypes.c_ulong * 2)(2**62, 2**62)),
    "raise the parent's limits": lambda: libc.prlimit(parent, 9, (ctypes.c_ulong * 2)(1, 1), None),
    "raise its limits by a pointer whose lower half is 0": lambda: libc.prlimit(0, 7, HIGH, None),
    "open a socket": lambda: libc.socket(2, 1, 0),
    "open a Unix socket": lambda: libc.socket(1, 1, 0),
    "queue system calls": lambda: libc.syscall(425, 8, ctypes.create_string_buffer(200)),
    "load into the kernel": lambda: libc.syscall(BPF, 0, None, 0),
    "become another user": lambda: libc.setuid(65534),
}
TGKILL, BPF = {"x86_64": (234, 321), "aarch64": (131, 280)}[os.uname().machine]
for name, attempt in TRIES.items():
    ctypes.set_errno(0)
    answer = attempt()
    print(name, "failed" if answer == -1 else f"gave {answer}", ctypes.get_errno(), sep="|")
"""


TORN_DOWN = """
guard = sys.modules['libs.common.reward.guard']
guard.REFUSED_EVENTS, guard.REFUSED_FAMILIES = frozenset(), ()
guard._check_open = guard._check_readable = guard._check_symbol = lambda *args: None
libc = real('ctypes').CDLL(None)
opened = [json.decoder.__builtins__['open'], os.fork, real('socket').socket, os.listdir]
for way, args in zip(opened, (['/etc/passwd'], [], [], ['/'])):
    try: way(*args)
    except OSError as error: print(error.errno)
print(libc.fork(), libc.kill(os.getppid(), 9))"""


@kernel_walls
def test_code_that_tears_pythons_walls_down_meets_the_kernels() -> None:
    with start(attack(TORN_DOWN)) as process:
        assert process.rewards([STEP]) == [1.0]
        assert process.printed == "13\n1\n1\n13\n-1 -1\n"


@kernel_walls
def test_the_kernel_refuses_everything_by_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    command = [sys.executable, "-c", NATIVE, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    tries = [line.split("|") for line in result.stdout.splitlines()]
    assert len(tries) == 29
    # EPERM is seccomp's answer, EACCES Landlock's.
    assert [one for one in tries if one[1] != "failed" or one[2] not in ("1", "13")] == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "secret"


OLD_KERNEL = """
import ctypes, os, struct
from libs.common.reward import guard, kernel, landlock, seccomp

# A kernel that knows neither: a filter refuses both calls, here and in every child.
machine = os.uname().machine
steps = [
    seccomp.step(seccomp.LOAD, seccomp.NUMBER_AT),
    seccomp.step(seccomp.EQUAL, landlock.CREATE_RULESET, 1, 0),
    seccomp.step(seccomp.EQUAL, seccomp.SECCOMP[machine], 0, 1),
    seccomp.step(seccomp.RETURN, seccomp.REFUSE),
    seccomp.step(seccomp.RETURN, seccomp.ALLOW),
]
code = ctypes.create_string_buffer(b"".join(steps))
program = struct.pack("@HP", len(steps), ctypes.addressof(code))
kernel.gain_no_privileges()
kernel.call(seccomp.SECCOMP[machine], seccomp.SET_FILTER, 0, program)
assert guard.missing_walls() == ["Landlock", "seccomp"]

from tests.reward_sources import failure_of, function, reward_of
assert reward_of("import numpy as np\\n" + function("return np.float64(2)")) == 2.0
body = "import random\\nrandom._os.fork()"
assert "PermissionError: a reward function can't use os.fork" in failure_of(function(body)).reason
"""


@kernel_walls
def test_on_an_old_kernel_pythons_walls_remain_and_it_is_said_once() -> None:
    command = [sys.executable, "-c", OLD_KERNEL]
    folder = Path(__file__).parents[2]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert result.stdout.count("the kernel can't shut reward functions in") == 1
    assert "Landlock" in result.stdout


def test_the_kernel_limits_what_a_child_may_use_up() -> None:
    with start(function("return 1")) as process:
        child = psutil.Process(process.pid)
        limits = {
            name: child.rlimit(getattr(psutil, name))
            for name in ("RLIMIT_FSIZE", "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_NOFILE")
        }
        status = Path(f"/proc/{process.pid}/status").read_text()
    assert limits["RLIMIT_FSIZE"] == (0, 0)
    assert limits["RLIMIT_CORE"] == (0, 0)
    assert limits["RLIMIT_AS"] == (2 * 2**30, 2 * 2**30)
    assert limits["RLIMIT_NOFILE"][0] <= 64
    if not missing_walls():
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


def test_the_child_inherits_no_environment_and_sits_in_an_empty_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DR_SECRET", "s3cret")
    with start(function("return 1")) as process:
        child = psutil.Process(process.pid)
        assert "DR_SECRET" not in child.environ()
        folder = Path(child.cwd())
        assert list(folder.iterdir()) == []
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    assert not folder.exists()


# What it says to the parent is not believed


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.write(replies, b'\\xff' * 8)", "sent a message of 4294967295 bytes"),
        ("answer(b'X')", "sent an answer to another question"),
        ("answer(b'R')", "sent an answer to another question"),
        ("os.write(replies, b'\\0\\0\\0\\1RX')", "sent more than it was asked for"),
        ("answer(b'R' + bytes(7) + b'\\x7f')", "sent rewards that its own check refuses"),
        ("answer(b'F[]')", "sent not a JSON object"),
        ("answer(b'F' + b'[' * 200_000)", "nested too deeply"),
        ("answer(b'F{}')", "sent a failure of no known kind"),
        ("answer(b'F{\"kind\":[]}')", "sent a failure of no known kind"),
        ('answer(b\'F{"kind":"raised","index":9,"line":"7","x":1}\')', "reward function: "),
        ("os.closerange(0, 64)\nwhile True: pass", "closed its pipes and had to be ended"),
        ("json.decoder.__builtins__.clear()", "ended with exit code 1"),
        ("json.dumps = len\n1 / 0", "ended with exit code 1"),
        ("os._exit(0)", "ended with exit code 0"),
        ("os.abort()", "ended with signal SIGABRT"),
    ],
)
def test_rubbish_from_the_child_ends_it_with_a_clear_error(body: str, words: str) -> None:
    assert words in str(failure_of(attack(body)))


def test_a_child_that_floods_its_stderr_holds_nobody_up() -> None:
    body = (
        "for _ in range(1000):\n"
        "    try: os.write(2, b'x' * 10_000)\n"
        "    except BlockingIOError: pass"
    )
    with start(attack(body)) as process:
        assert process.rewards([STEP]) == [1.0]


# What can't be interrupted, or does not want to be


@pytest.mark.parametrize(
    "body",
    [
        "sum(range(10**15))",
        "10 ** 10 ** 9",
        "json.decoder.re.match('(a+)+$', 'a' * 50 + 'b')",
        "real('signal').signal(14, 1)\nwhile True: pass",
        "os.read(0, 1)",
        "while True:\n    try:\n        while True: sum(range(100))\n"
        "    except BaseException: pass",
        "while True:\n    try:\n        while True: sandbox.running[0] += 1\n"
        "    except BaseException: pass",
    ],
    ids=["C loop", "arithmetic", "regex", "ignored alarm", "waits", "catches all", "lies"],
)
def test_a_call_that_can_not_be_interrupted_is_ended(body: str) -> None:
    error = failure_of(attack(body), SHORT)
    assert error.kind == "timeout"


def test_the_call_that_hangs_is_named_even_where_the_child_can_not_say_so() -> None:
    with start(function("return float(sum(range(10**params['digits'])) > 0)"), SHORT) as process:
        with pytest.raises(RewardError, match="had to be ended") as caught:
            process.rewards([{**STEP, "digits": digits} for digits in (1, 1, 15, 1)])
        assert not process.alive
    assert caught.value.index == 2
    assert caught.value.params["digits"] == 15


def test_a_child_that_hangs_and_lies_about_its_call_is_not_believed() -> None:
    error = failure_of(attack("sandbox.running[0] = 2**63\nsum(range(10**15))"), SHORT)
    assert "had to be ended" in error.reason
    assert error.index is None
    assert error.params == {}


def test_many_quick_calls_are_ended_by_the_limit_of_the_batch() -> None:
    limits = RewardLimits(call_s=10, batch_s=0.3)
    error = failure_of(function("return float(sum(range(10_000)) > 0)"), limits, calls=10_000)
    assert error.kind == "timeout"
    assert error.index is not None
    assert error.index > 10
