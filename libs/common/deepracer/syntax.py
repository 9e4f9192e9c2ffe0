"""Bytes of a file to plain values: UTF-8, JSON and YAML, with the line of what is malformed."""

import json
from typing import Any

import yaml

from libs.common.deepracer.checked import quote
from libs.common.errors import InvalidInput


def decode_text(data: bytes, where: str) -> str:
    """
    The file's text; a byte-order mark is dropped.

    Raises:
        InvalidInput: empty or only blanks, or not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        bad = data[error.start : error.start + 1]
        raise InvalidInput(f"{where}: line {line}: got byte {bad!r}; accepted: UTF-8") from error
    if not text.strip():
        raise InvalidInput(f"{where}: the file is empty")
    return text


def parse_json_object(data: bytes, where: str) -> dict[str, Any]:
    """
    A JSON object.

    Raises:
        InvalidInput: malformed (with line and column), NaN or infinity, a key twice, no object.
    """
    text = decode_text(data, where)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} column {error.colno}"
        raise InvalidInput(f"{where}: malformed JSON, {at}: {error.msg}") from error
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}") from error
    except RecursionError as error:
        raise InvalidInput(f"{where}: nested too deeply to be read") from error
    return _mapping(value, where, "a JSON object {…}")


def parse_yaml_mapping(data: bytes, where: str) -> dict[str, Any]:
    """
    A YAML mapping; plain data only, tags that would build objects are refused.

    Raises:
        InvalidInput: malformed (with line and column), a key twice, no mapping.
    """
    text = decode_text(data, where)
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)  # a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise InvalidInput(f"{where}: malformed YAML{at}: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(f"{where}: malformed YAML: {error}") from error
    except RecursionError as error:
        raise InvalidInput(f"{where}: nested too deeply to be read") from error
    return _mapping({} if value is None else value, where, "a mapping of `key: value` lines")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win in silence; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"the key {quote(key.value)} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _mapping(value: Any, where: str, accepted: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where}: got {quote(value)}; accepted: {accepted}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"got {name}; accepted: finite numbers")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {quote(double)} is there twice; accepted: each key once")
    return unique
