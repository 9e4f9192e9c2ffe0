"""
What the uploader knows of each object, in a file of its own: it outlives crashes and is never in
memory as a whole.

Nothing hangs on it: where it is lost or broken, both stores are compared and it fills again.
Everything here blocks: call it in a thread.
"""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from libs.common.errors import Unavailable
from libs.common.events import PLATFORM, RUN_ID_PATTERN, ObjectRef
from libs.common.log import get_log

State = Literal["waiting", "copying", "failing", "replicated", "evicted"]
STATES: tuple[State, ...] = get_args(State)

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY, run_id TEXT NOT NULL, size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, tries INTEGER NOT NULL, changed_at REAL NOT NULL,
    etag TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_state ON objects (state, changed_at);
CREATE TABLE IF NOT EXISTS multiparts (
    key TEXT PRIMARY KEY, sha256 TEXT NOT NULL, upload_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS newest (
    run_id TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (run_id, kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ends (run_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE remote (key TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Upload:
    """How one object stands."""

    key: str
    run_id: str
    size_bytes: int
    sha256: str
    state: State
    reason: str  # of the last failure
    tries: int  # failed ones since the last success
    changed_at: float  # seconds since 1970


def run_of(key: str) -> str:
    """The run that a key belongs to, as far as it tells."""
    folder, _, rest = key.partition("/")
    run_id = rest.partition("/")[0]
    return run_id if folder == "runs" and re.match(RUN_ID_PATTERN, run_id) else PLATFORM


_COLUMNS = "key, run_id, size_bytes, sha256, state, reason, tries, changed_at"


class Ledger:
    """The file, one connection for all threads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock, self._lock = path, clock, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:  # a full disk breaks nothing that is there
            raise Unavailable(f"{path} can't be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            get_log().warning("the ledger is broken and begun anew", reason=str(error))
            path.replace(path.with_suffix(".broken"))
            for name in (f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            self._connection = self._open()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    # -- objects -----------------------------------------------------------------------------

    def note(
        self, key: str, state: State, size_bytes: int, sha256: str = "", reason: str = ""
    ) -> None:
        """What became of an object; a failure counts its tries."""
        self._write(
            f"INSERT INTO objects ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET run_id = excluded.run_id, state = excluded.state, "
            "size_bytes = excluded.size_bytes, sha256 = excluded.sha256, "
            "reason = excluded.reason, changed_at = excluded.changed_at, "
            "tries = CASE excluded.state WHEN 'failing' THEN tries + 1 "
            "WHEN 'copying' THEN tries ELSE 0 END",
            (
                *(key, run_of(key), size_bytes, sha256, state, reason),
                *(state == "failing", self._clock()),
            ),
        )

    def note_same(self, key: str, reference: ObjectRef, evicted: bool, etag: str) -> None:
        """Both sides have this object, and the store here tells its content by this etag."""
        state: State = "evicted" if evicted else "replicated"
        self.note(key, state, reference.size_bytes, reference.sha256)
        self._write("UPDATE objects SET etag = ? WHERE key = ?", (etag, key))

    def suspects(self, contents: Sequence[tuple[str, str]]) -> set[str]:
        """Keys, of these with their etags here, that the remote may not have as they are."""
        found = set()
        with self._lock, self._translated():
            for key, etag in contents:
                same = self._connection.execute(
                    "SELECT 1 FROM objects JOIN remote USING (key, size_bytes) WHERE key = ? "
                    "AND etag = ? AND state IN ('replicated', 'evicted')",
                    (key, etag),
                ).fetchone()
                if same is None:
                    found.add(key)
        return found

    def get(self, key: str) -> Upload | None:
        """How an object stands, if it was ever seen."""
        rows = self._read(f"SELECT {_COLUMNS} FROM objects WHERE key = ?", (key,))
        return Upload(*rows[0]) if rows else None

    def forget(self, key: str) -> None:
        """An object is gone."""
        self._write("DELETE FROM objects WHERE key = ?", (key,))

    def uploads(self, states: Sequence[State], run_id: str, limit: int) -> list[Upload]:
        """Those of these states (all, where none is named) and run, the last changed first."""
        marks = ", ".join("?" * len(states or STATES))
        return [
            Upload(*row)
            for row in self._read(
                f"SELECT {_COLUMNS} FROM objects WHERE state IN ({marks}) "
                "AND (? = '' OR run_id = ?) ORDER BY changed_at DESC LIMIT ?",
                (*(states or STATES), run_id, run_id, limit),
            )
        ]

    def totals(self) -> dict[State, tuple[int, int]]:
        """Number and bytes of the objects of each state."""
        rows = self._read("SELECT state, count(*), total(size_bytes) FROM objects GROUP BY state")
        found = {state: (int(count), int(size)) for state, count, size in rows}
        return {state: found.get(state, (0, 0)) for state in STATES}

    # -- what both sides hold ----------------------------------------------------------------

    def begin_comparison(self) -> None:
        """Forget what the remote had."""
        self._write("DELETE FROM remote")

    def note_remote(self, sizes: Iterable[tuple[str, int]]) -> None:
        """Some of what the remote has: keys with their sizes."""
        self._write_many("INSERT OR REPLACE INTO remote VALUES (?, ?)", list(sizes))

    def remote_size(self, key: str) -> int | None:
        """Bytes of the remote's object, None where it has none."""
        rows = self._read("SELECT size_bytes FROM remote WHERE key = ?", (key,))
        return int(rows[0][0]) if rows else None

    # -- uploads in parts --------------------------------------------------------------------

    def multipart(self, key: str) -> tuple[str, str] | None:
        """Digest and id of the upload in parts that was begun and not finished."""
        rows = self._read("SELECT sha256, upload_id FROM multiparts WHERE key = ?", (key,))
        return (rows[0][0], rows[0][1]) if rows else None

    def note_multipart(self, key: str, sha256: str, upload_id: str) -> None:
        """An upload in parts was begun."""
        self._write("INSERT OR REPLACE INTO multiparts VALUES (?, ?, ?)", (key, sha256, upload_id))

    def forget_multipart(self, key: str) -> None:
        """It is finished, or given up."""
        self._write("DELETE FROM multiparts WHERE key = ?", (key,))

    # -- what must not be evicted ------------------------------------------------------------

    def protect(self, run_id: str, kind: str, at_s: float, keys: Iterable[str]) -> None:
        """These are a run's newest objects of a kind since that moment, instead of older ones."""
        known = self._read(
            "SELECT max(at) FROM newest WHERE run_id = ? AND kind = ?", (run_id, kind)
        )
        if known[0][0] is not None and known[0][0] > at_s:
            return
        with self._lock, self._translated(), self._connection:
            self._connection.execute(
                "DELETE FROM newest WHERE run_id = ? AND kind = ?", (run_id, kind)
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO newest VALUES (?, ?, ?, ?)",
                [(run_id, kind, at_s, key) for key in keys],
            )

    def end_run(self, run_id: str, at_s: float) -> None:
        """A run was over at this moment; what it made later, it made after it was resumed."""
        self._write("INSERT OR REPLACE INTO ends VALUES (?, ?)", (run_id, at_s))

    def resume_run(self, run_id: str, at_s: float) -> None:
        """A run goes on since this moment."""
        self._write("DELETE FROM ends WHERE run_id = ? AND at < ?", (run_id, at_s))

    def forget_run(self, run_id: str) -> None:
        """A run was deleted."""
        for table in ("newest", "ends", "objects"):
            self._write(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))

    def protected(self) -> set[str]:
        """Keys of the newest objects of runs that are not over."""
        rows = self._read(
            "SELECT key FROM newest LEFT JOIN ends USING (run_id) "
            "WHERE ends.at IS NULL OR newest.at > ends.at"
        )
        return {key for (key,) in rows}

    # -- plumbing ----------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, timeout=10)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_TABLES)
        except sqlite3.DatabaseError:
            with suppress(sqlite3.Error):
                connection.close()
            raise
        return connection

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._translated():
            return self._connection.execute(statement, values).fetchall()

    def _write(self, statement: str, values: Sequence[Any] = ()) -> None:
        with self._lock, self._translated(), self._connection:
            self._connection.execute(statement, values)

    def _write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._lock, self._translated(), self._connection:
            self._connection.executemany(statement, rows)

    def _translated(self) -> "_Translated":
        return _Translated(self._path)


@dataclass(frozen=True)
class _Translated:
    """Turns what the disk refuses into the platform's error."""

    path: Path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise Unavailable(f"{self.path.name} can't be used: {error}") from error
