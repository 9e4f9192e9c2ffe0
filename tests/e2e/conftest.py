"""One stack for the tests of a module."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.embedded import STARTER, EmbeddedStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """The whole stack, up and ready."""
    embedded = EmbeddedStack(tmp_path_factory.mktemp("stack"))
    embedded.up()
    yield embedded
    embedded.down()


def starter_with(folder: Path, limits: dict[str, Any], **hyperparameters: Any) -> Path:
    """A copy of the starter with other limits and hyperparameters."""
    shutil.copytree(STARTER, folder)
    run = yaml.safe_load((folder / "run.yaml").read_text())
    (folder / "run.yaml").write_text(yaml.safe_dump(run | {"limits": limits}))
    path = folder / "hyperparameters.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | hyperparameters))
    return folder
