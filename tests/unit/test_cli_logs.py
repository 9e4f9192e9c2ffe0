"""Log files: their end, and what is added, also over a rotation."""

from pathlib import Path

from libs.cli.stack.logs import follow_lines, last_lines


def test_the_last_lines_are_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert last_lines(log, 3) == ["97", "98", "99"]
    assert last_lines(tmp_path / "none.log", 3) == []


def test_added_lines_are_followed_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    lines = follow_lines(log, 10)
    assert next(lines) == "old"
    with log.open("a") as handle:
        handle.write("half a ")
        handle.flush()
        handle.write("line\nanother\n")
    assert [next(lines), next(lines)] == ["half a line", "another"]

    log.rename(tmp_path / "a.log.1")
    log.write_text("after the rotation\n")
    assert next(lines) == "after the rotation"
    lines.close()
