"""Archives of the submitter."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from services.submitter.checkpoint_list import CheckpointEntry, CheckpointList
from services.submitter.model import Model, car_tree, virtual_tree
from services.submitter.tarball import pack, write_whole

MEMBERS = {"b.json": b"{}", "a/model.pb": bytes(range(256)) * 40}


def test_the_same_members_give_the_same_bytes_in_whatever_order_they_come() -> None:
    assert pack(MEMBERS) == pack(dict(reversed(MEMBERS.items())))


def test_members_have_no_times_and_no_owners() -> None:
    with tarfile.open(fileobj=BytesIO(pack(MEMBERS))) as archive:
        found = archive.getmembers()
    assert [member.name for member in found] == ["a/model.pb", "b.json"]
    for member in found:
        assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
        assert (member.mode, member.isreg()) == (0o644, True)


def test_the_systems_tar_unpacks_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(pack(MEMBERS))
    subprocess.run(["tar", "xzf", "x.tar.gz"], cwd=tmp_path, check=True)
    for name, data in MEMBERS.items():
        assert (tmp_path / name).read_bytes() == data


def test_a_file_that_is_the_same_is_left_alone_and_another_is_replaced_as_a_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "x"
    write_whole(path, b"one")
    before = path.stat()
    write_whole(path, b"one")
    assert path.stat().st_ino == before.st_ino
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["x"]


def test_a_model_of_one_checkpoint_names_it_as_the_best_and_the_last() -> None:
    best = CheckpointEntry(name="7_Step-900.ckpt", avg_eval_metric=93.5, time_stamp=12.0)
    listing = CheckpointList(
        best_checkpoint=best, last_checkpoint=CheckpointEntry(name="9_Step-1200.ckpt")
    )
    assert listing.only(best.name) == CheckpointList(best_checkpoint=best, last_checkpoint=best)
    other = CheckpointEntry(name="8_Step-1000.ckpt")
    assert listing.only(other.name) == CheckpointList(best_checkpoint=other, last_checkpoint=other)


def test_the_trees_are_those_that_the_car_and_the_league_take() -> None:
    model = Model(
        checkpoint="7_Step-900.ckpt",
        number=7,
        policy=b"graph",
        metadata=b"{}",
        checkpoint_files={"7_Step-900.ckpt.index": b"i"},
        others={"reward_function.py": b"code", "ip/hyperparameters.json": b"{}"},
    )
    assert car_tree(model) == {"agent/model.pb": b"graph", "model_metadata.json": b"{}"}
    assert set(virtual_tree(model)) == {
        "model_metadata.json",
        "reward_function.py",
        "ip/hyperparameters.json",
        "model/.coach_checkpoint",
        "model/7_Step-900.ckpt.index",
        "model/deepracer_checkpoints.json",
        "model/model_7.pb",
        "model/model_metadata.json",
    }
    assert virtual_tree(model)["model/.coach_checkpoint"] == b"7_Step-900.ckpt"
