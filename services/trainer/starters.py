"""The run folders of `models/`, for pages that begin a run without one."""

import functools
from pathlib import Path

from libs.common.deepracer.folder import OUR_FILES, RUN_FILE

MODELS = Path(__file__).resolve().parents[2] / "models"


@functools.cache
def starters() -> dict[str, dict[str, str]]:
    """Files by their names, by the folders' names; none where the checkout is not there."""
    wanted = (*OUR_FILES, RUN_FILE)
    folders = sorted(path for path in MODELS.glob("*") if path.is_dir())
    found = {
        folder.name: {
            name: (folder / name).read_text("utf-8") for name in wanted if (folder / name).exists()
        }
        for folder in folders
    }
    return {name: files for name, files in found.items() if set(OUR_FILES) <= files.keys()}
