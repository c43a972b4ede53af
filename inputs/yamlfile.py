"""Read a YAML file into a pydantic model, and say file and line of whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from inputs.errors import BadInput, Complaint

T = TypeVar("T")
Loc = tuple[str | int, ...]


class _Loader(yaml.CSafeLoader):
    """Refuses a key written twice, as the second would silently win. In C: 4 times as fast."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(path: Path, shape: type[T]) -> T:
    """Return the file's content validated as ``shape`` (a model or any type pydantic knows).

    Raises BadInput with one complaint per defect (file, line, what is expected).
    """
    data, lines = load_with_lines(path)
    return validate(path, data, lines, shape)


def load_with_lines(path: Path) -> tuple[Any, dict[Loc, int]]:
    """Return the plain data and the line (from 1) on which each location in it stands."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput.at(path, 0, "the file does not exist") from None
    except UnicodeDecodeError as exc:
        line = path.read_bytes()[: exc.start].count(b"\n") + 1
        raise BadInput.at(path, line, "expected UTF-8 text") from None
    except OSError as exc:
        raise BadInput.at(path, 0, f"cannot be read: {exc.strerror}") from None
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {(): 1}
        lines: dict[Loc, int] = {}
        _remember_lines(node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise BadInput.at(path, mark.line + 1 if mark else 0, f"not YAML: {exc.problem}") from None
    except yaml.YAMLError as exc:
        raise BadInput.at(path, 0, f"not YAML: {exc}") from None
    finally:
        loader.dispose()


def validate(path: Path, data: Any, lines: dict[Loc, int], shape: type[T]) -> T:
    """Validate already loaded data; complaints carry the line of the innermost known location."""
    try:
        return TypeAdapter(shape).validate_python(data)
    except ValidationError as exc:
        raise BadInput([_complaint(path, lines, error) for error in exc.errors()]) from None


def line_of(lines: dict[Loc, int], loc: Loc) -> int:
    """The line of ``loc``, or of the nearest thing around it that has one."""
    while loc and loc not in lines:
        loc = loc[:-1]
    return lines.get(loc, 0)


def _complaint(path: Path, lines: dict[Loc, int], error: Any) -> Complaint:
    loc: Loc = tuple(error["loc"])
    name = ".".join(str(part) for part in loc) or "the file"
    message = error["msg"].removeprefix("Value error, ")
    got = error.get("input")
    shown = f", got {got!r}" if isinstance(got, (str, int, float, bool)) else ""
    return Complaint(path, line_of(lines, loc), f"{name}: {message}{shown}")


def _remember_lines(node: yaml.Node, loc: Loc, lines: dict[Loc, int]) -> None:
    lines[loc] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*loc, key_node.value)
            _remember_lines(value_node, here, lines)
            lines[here] = key_node.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _remember_lines(item, (*loc, index), lines)


class Strict(BaseModel):
    """Base of every model read from a file: unknown keys are refused, values are never changed."""

    model_config = {"extra": "forbid", "frozen": True}
