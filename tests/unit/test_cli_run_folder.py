"""What is read from this machine before a run is queued."""

from pathlib import Path

import pytest

from libs.cli.run_folder import read_run_folder, suggest_name
from libs.common.errors import InvalidInput, NotFound


def test_the_text_files_of_a_folder_are_read_without_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "reward_function.py").write_text("def reward_function(params): return 1.0\n")
    (tmp_path / "run.yaml").write_text("notes: Größe\n", encoding="utf-8")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "__pycache__").mkdir()
    files = read_run_folder(tmp_path)
    assert sorted(files) == ["reward_function.py", "run.yaml"]
    assert files["run.yaml"] == "notes: Größe\n"


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing is no folder"):
        read_run_folder(tmp_path / "missing")
    with pytest.raises(InvalidInput, match="is empty"):
        read_run_folder(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "film.mp4").write_bytes(b"\xff")
    with pytest.raises(InvalidInput) as caught:
        read_run_folder(tmp_path)
    assert len(caught.value.problems) == 2


def test_a_folder_of_large_files_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as handle:
        handle.truncate(50_000_000)
    with pytest.raises(InvalidInput, match=r"holds 50\.0 MB"):
        read_run_folder(tmp_path)


@pytest.mark.parametrize(
    ("folder", "run_file", "taken", "name"),
    [
        ("starter", "", [], "starter"),
        ("starter", "", ["starter"], "starter-2"),
        ("starter", "", ["starter", "starter-2"], "starter-3"),
        ("My Car (2)", "", [], "my-car-2"),
        ("starter", "name: quick", [], "quick"),
        ("starter", "name: quick", ["quick"], "quick-2"),
        ("starter", "name: [broken", [], "starter"),
        ("starter", "name: 7", [], "starter"),
        ("???", "", [], "run"),
        ("x" * 80, "", ["x" * 63], "x" * 57 + "-2"),
    ],
)
def test_a_run_gets_a_free_name(
    tmp_path: Path, folder: str, run_file: str, taken: list[str], name: str
) -> None:
    assert suggest_name(tmp_path / folder, {"run.yaml": run_file}, taken) == name
