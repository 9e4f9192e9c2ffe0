"""
What rl-coach of 2019 expects of its surroundings, so that the package itself stays as it is.

- To its modules alone `import tensorflow` gives TensorFlow 1 (`tensorflow1.py`).
- Packages that it imports at the top and that a single learner never calls (Redis, MinIO, a window
  and the resizing of images) stand in as names; who calls one is told which is missing.
- Abstract collections have the addresses that they had before Python 3.10.
"""

import builtins
import collections
import collections.abc
import sys
import types
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any

from services.trainer.coach.tensorflow1 import tensorflow1

PACKAGE = "rl_coach"
ABSENT = frozenset({"redis", "minio", "pygame", "skimage"})
MOVED = ("Iterable", "Mapping")


def install() -> None:
    """Make `import rl_coach` work in this process; before the first one, and once."""
    for name in MOVED:
        setattr(collections, name, getattr(collections.abc, name))
    sys.meta_path.insert(0, Finder(tensorflow1()))


class Absent(Exception):
    """Anything of a package that is not there."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(f"{type(self).__module__}.{type(self).__name__} is not installed")
        raise self


class Finder(MetaPathFinder):
    """Finds rl-coach, and what stands in for packages that it could do without."""

    def __init__(self, tensorflow: types.ModuleType) -> None:
        self._tensorflow = tensorflow

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.partition(".")[0]
        if top in ABSENT:
            return ModuleSpec(fullname, _AbsentLoader(), is_package=True)
        if top != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _PackageLoader(spec.loader, self._tensorflow)
        return spec


class _PackageLoader(SourceFileLoader):
    """Gives a module an `import` of its own, for what it does at once and what it does later."""

    def __init__(self, found: SourceFileLoader, tensorflow: types.ModuleType) -> None:
        super().__init__(found.name, found.path)
        self._tensorflow = tensorflow

    def exec_module(self, module: types.ModuleType) -> None:
        changed = {**vars(builtins), "__import__": self._import}
        module.__dict__["__builtins__"] = changed
        super().exec_module(module)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name == "tensorflow" and level == 0:
            return self._tensorflow
        return builtins.__import__(name, globals, locals, fromlist, level)


class _AbsentLoader(Loader):
    def exec_module(self, module: types.ModuleType) -> None:
        """Any name of it is a class that says so as soon as it is used."""

        def stand_in(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (Absent,), {"__module__": module.__name__})

        module.__dict__["__getattr__"] = stand_in
