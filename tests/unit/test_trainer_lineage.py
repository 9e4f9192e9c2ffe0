"""Which run came of which, and what was changed on the way."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.run_spec import StartSpec
from libs.common.events import TrackRef
from services.trainer.differences import differences
from services.trainer.lineage import MOST_DESCENDANTS, Lineage, lineage
from services.trainer.runs import RunRecord
from tests.trainer_process import run_folder

NOW = datetime(2025, 11, 22, 10, 0, tzinfo=UTC)


def run(name: str, hour: int, parent: str | None = None, **changes: Any) -> RunRecord:
    files = {key: text.encode() for key, text in run_folder().items()}
    spec = read_run_folder(files, name=name).value
    start = StartSpec(run=parent) if parent else None
    return RunRecord(
        spec=spec.model_copy(update={"start": start, **changes}),
        track=TrackRef(name="oval"),
        created_at=NOW + timedelta(hours=hour),
    )


def names(found: Lineage, relation: str) -> list[str]:
    return [each.run for each in found.relatives if each.relation == relation]


def test_ancestors_and_descendants_with_what_was_changed() -> None:
    family = [
        run("grandchild", 4, "child", seed=7),
        run("mother", 1, "grandmother"),
        run("self", 2, "mother", reward_function="def reward_function(params):\n    return 2.0\n"),
        run("child", 3, "self"),
        run("other-child", 5, "self"),
        run("grandmother", 0),
        run("stranger", 3),
    ]
    found = lineage(family[2], family)
    assert names(found, "ancestor") == ["grandmother", "mother"]
    assert names(found, "descendant") == ["child", "grandchild", "other-child"]
    changes = {
        each.child: [(d.setting, d.area) for d in each.differences] for each in found.descents
    }
    assert changes == {
        "mother": [],
        "self": [("reward_function", "reward function")],
        "child": [("reward_function", "reward function")],
        "grandchild": [("seed", "other")],
        "other-child": [("reward_function", "reward function")],
    }
    [reward] = next(each for each in found.descents if each.child == "self").differences
    assert "+    return 2.0" in reward.diff


def test_a_deleted_parent_is_known_by_its_name() -> None:
    child = run("child", 1, "gone")
    found = lineage(child, [child])
    [parent, _] = found.relatives
    assert (parent.run, parent.deleted) == ("gone", True)
    assert not found.descents[0].compared


def test_a_younger_run_of_the_parents_name_is_another_one() -> None:
    child, namesake = run("child", 1, "gone"), run("gone", 2)
    assert lineage(child, [child, namesake]).relatives[0].deleted
    assert names(lineage(namesake, [child, namesake]), "descendant") == []


def test_a_run_that_named_its_child_as_its_parent_is_no_loop() -> None:
    one, two = run("one", 0, "two"), run("two", 1, "one")
    assert names(lineage(two, [one, two]), "ancestor") == ["two", "one"]


def test_too_many_descendants_are_counted() -> None:
    family = [
        run("self", 0),
        *(run(f"child-{n}", n + 1, "self") for n in range(MOST_DESCENDANTS + 3)),
    ]
    found = lineage(family[0], family)
    assert (len(names(found, "descendant")), found.left_off) == (MOST_DESCENDANTS, 3)


def test_settings_differ_by_area_and_names_do_not_count() -> None:
    one, two = run("one", 0), run("two", 0, seed=3, reward_function="# other\n")
    found, compared = differences([one.spec, two.spec])
    assert [each.setting for each in found] == ["reward_function", "seed"]
    assert found[1].values == ["0", "3"]
    assert compared > 40
