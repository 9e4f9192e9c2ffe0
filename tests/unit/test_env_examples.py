"""The examples in `deploy/env` name every setting of their service, with its default."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from libs.common.config import ServiceSettings, load

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "env").glob("*.env.example"))


def settings_class(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.config")
    (found,) = (
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, ServiceSettings)
        and item is not ServiceSettings
    )
    return found


def variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def as_variable(value: Any) -> str:
    if isinstance(value, list | tuple):
        return json.dumps(value)
    return "" if value is None else str(value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_has_every_variable_of_the_service_with_its_default(path: Path) -> None:
    service = path.name.removesuffix(".env.example")
    fields = settings_class(service).model_fields
    expected = {
        f"DR_{service}_{name}".upper(): as_variable(field.get_default(call_default_factory=True))
        for name, field in fields.items()
        if field.validation_alias is None  # those with an alias are shared by all services
    }
    assert variables(path) == expected


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_as_it_is_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service_settings = settings_class(path.name.removesuffix(".env.example"))
    before = load(service_settings)
    for name, value in variables(path).items():
        monkeypatch.setenv(name, value)
    assert load(service_settings) == before
