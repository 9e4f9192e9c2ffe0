"""
Validation errors of the models as sentences for the author of a file.

Each names the key, quotes the value and says what is accepted; the last is read off the model's own
fields, so that it never differs from what is enforced.
"""

import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from libs.common.deepracer.checked import Findings, quote, unknown_key
from libs.common.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)

MANY = "many_problems"
"""Type of the error that carries several sentences in its context, under `problems`."""


def read_model(model: type[Model], given: Any, where: str = "") -> Model:
    """
    The model that a mapping holds.

    Raises:
        InvalidInput: every problem; `where` names the place before each.
    """
    findings = Findings(where)
    try:
        return model.model_validate(dict(given) if isinstance(given, Mapping) else given)
    except ValidationError as error:
        note_errors(error, model, findings)
        raise InvalidInput(findings.problems) from error


def note_errors(error: ValidationError, model: type[BaseModel], findings: Findings) -> None:
    """Add one sentence for each key that the model refused."""
    told = set()
    for item in error.errors(include_url=False):
        path, field = _locate(item["loc"], model)
        if item["type"] == MANY:
            for text in item["ctx"]["problems"]:
                findings.problem(f"{path}: {text}" if path else text)
        elif path not in told:  # each member of a union complains about the same key
            findings.problem(_sentence(item, path, field, model))
        told.add(path)


def _sentence(
    item: ErrorDetails, path: str, field: FieldInfo | None, model: type[BaseModel]
) -> str:
    if item["type"] == "extra_forbidden":
        section = _section(item["loc"][:-1], model)
        inside = ".".join(str(part) for part in item["loc"][:-1])
        text = unknown_key(item["loc"][-1], _known_keys(section))
        return f"{inside}: {text}" if inside else text
    accepted = describe_field(field) if field else item["msg"]
    if item["type"] == "missing":
        return f"{path} is missing; accepted: {accepted}"
    return f"{path or 'the document'}: got {quote(item['input'])}; accepted: {accepted}"


def describe_field(field: FieldInfo) -> str:
    """What the field accepts, in words: "a whole number from 1 to 4096"."""
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: list[Any]) -> str:
    members = _members(annotation)
    if len(members) > 1:
        return " or ".join(_describe(member, metadata) for member in members)
    only = members[0]
    if get_origin(only) is Literal:
        return " or ".join(repr(choice) for choice in get_args(only))
    if only is bool:
        return "true or false"
    if only in (int, float):
        kind = "a whole number" if only is int else "a number"
        return f"{kind}{_range(metadata)}"
    if only is str:
        return f"text{_pattern(metadata)}"
    if only is type(None):
        return "null"
    if isinstance(only, type) and issubclass(only, BaseModel):
        return f"a mapping with the keys {', '.join(only.model_fields)}"
    return "a list"


def _range(metadata: list[Any]) -> str:
    """The bounds, as " from 1 to 4096" or " above 0"; empty where there are none."""
    low = next((item for item in metadata if isinstance(item, Ge | Gt)), None)
    high = next((item for item in metadata if isinstance(item, Le | Lt)), None)
    if isinstance(low, Ge) and isinstance(high, Le):
        return f" from {low.ge} to {high.le}"
    parts = []
    if low is not None:
        parts.append(f"of at least {low.ge}" if isinstance(low, Ge) else f"above {low.gt}")
    if high is not None:
        parts.append(f"up to {high.le}" if isinstance(high, Le) else f"below {high.lt}")
    return f" {' and '.join(parts)}" if parts else ""


def _pattern(metadata: list[Any]) -> str:
    pattern = next((item.pattern for item in metadata if hasattr(item, "pattern")), None)
    return f" that matches {pattern}" if pattern else ""


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation alone."""
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _locate(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, FieldInfo | None]:
    """The dotted path of a key and its field; what names a union's member is left out."""
    path: list[str] = []
    field = None
    section: type[BaseModel] | None = model
    for part in loc:
        if section is None:
            break
        if isinstance(part, int) and path:
            path[-1] += f"[{part}]"
            continue
        path.append(str(part))
        field = _fields(section).get(str(part))
        section = _model_in(field.annotation) if field else None
    return ".".join(path), field


def _section(loc: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    """The model that a path ends in."""
    for part in loc:
        field = _fields(model).get(str(part))
        model = (_model_in(field.annotation) if field else None) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, alone, in a union or in a tuple of them."""
    for member in _members(annotation):
        if get_origin(member) is tuple:
            member = get_args(member)[0]
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def _fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    return model.model_fields


def _known_keys(model: type[BaseModel]) -> list[str]:
    """Fields, and keys that are resolved before the fields are read."""
    return [*model.model_fields, *getattr(model, "input_keys", ())]
