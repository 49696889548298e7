# SPDX-License-Identifier: Apache-2.0
"""`Argument`: what a caller may choose about a task. Declared once; checks, documentation and recordings follow."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar, overload

from simenv.envs.options import choose, suggestion

T = TypeVar("T")


class Argument(Generic[T]):
    """An argument of a task, an attribute of its class: ``stiffness = Argument(2e4, "of the block", unit="Pa")``.

    ``gymnasium.make(id, stiffness=3e4)`` sets it; the task's methods read ``self.stiffness``. A subclass changes the
    default by declaring it again, and fixes the value by a plain class attribute.

    A value is a JSON value of the default's kind: True or False, a finite number, a text. Give ``check`` where that,
    the limits and the choices do not say enough.

    Args:
        default: The value if the caller gives none; None is always allowed where it is the default.
        meaning: What it is, for the documentation.
        unit: Of a number.
        choices: The values there are; a mapping says what the task gets for each.
        above: A number must be greater.
        least: A number must not be less.
        most: A number must not be greater.
        check: Called with name and value, before limits and choices; raises ValueError, and returns what the task gets.
    """

    @overload
    def __init__(self, default: Any, meaning: str, *, choices: Mapping[Any, T]) -> None: ...

    @overload
    def __init__(
        self,
        default: T,
        meaning: str,
        *,
        unit: str = "",
        choices: Collection[Any] | None = None,
        above: float | None = None,
        least: float | None = None,
        most: float | None = None,
        check: Callable[[str, Any], Any] | None = None,
    ) -> None: ...

    def __init__(
        self,
        default: Any,
        meaning: str,
        *,
        unit: str = "",
        choices: Collection[Any] | Mapping[Any, Any] | None = None,
        above: float | None = None,
        least: float | None = None,
        most: float | None = None,
        check: Callable[[str, Any], Any] | None = None,
    ) -> None:
        self.default, self.meaning, self.unit, self.choices = default, meaning, unit, choices
        self.above, self.least, self.most, self._check = above, least, most, check
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Argument[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Argument[T] | T:
        # Not a data descriptor: the value that `Task.__init__` puts into the instance is found before this.
        return self if instance is None else self.value(self.default, owner.__name__)

    def value(self, given: Any, task: str) -> Any:
        """What the task gets for a value.

        Args:
            given: What the caller gave.
            task: Name of the task, for errors.

        Returns:
            The value, or what ``choices`` or ``check`` make of it.

        Raises:
            TypeError: If it is of another kind than the default, or JSON cannot hold it.
            ValueError: If it is not finite, beyond a limit, or no choice.
        """
        what = f"argument {self.name!r} of {task}"
        try:
            json.dumps(given)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"Argument {self.name!r} of {task} is not JSON-serialisable ({error}); recordings could not rebuild "
                "the environment. Pass numbers, strings, lists or dicts."
            ) from error
        if given is None and self.default is None:
            return None
        self._check_kind(what, given)
        if self._check is not None:
            given = self._check(self.name, given)
        if self.choices is not None:
            choose(self.name, given, self.choices)
            return self.choices[given] if isinstance(self.choices, Mapping) else given
        self._check_limits(given)
        return given

    def _check_kind(self, what: str, value: Any) -> None:
        """Raise for a switch that is no bool, and a quantity that is no finite number; the default says which it is."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise TypeError(f"{what} is {value!r}; it must be True or False.")
        elif isinstance(self.default, (int, float)):
            if not number:
                raise TypeError(f"{what} is {value!r}; it must be a number, such as {self.default}.")
            if not math.isfinite(value):
                raise ValueError(f"{what} is {value}; it must be finite.")
        elif isinstance(self.default, str) and not isinstance(value, str):
            raise TypeError(f"{what} is {value!r}; it must be a text, such as {self.default!r}.")

    def _check_limits(self, value: Any) -> None:
        limits = self.limits()
        low = (self.above is None or value > self.above) and (self.least is None or value >= self.least)
        if limits and not (low and (self.most is None or value <= self.most)):
            raise ValueError(f"{self.name} = {value} {self.unit}".rstrip() + f" must be {limits}.")

    def limits(self) -> str:
        """The limits in words, such as ``"above 0.0 m and at most 0.02 m"``; empty where there are none."""
        sides = (("above", self.above), ("at least", self.least), ("at most", self.most))
        return " and ".join(f"{word} {side:g} {self.unit}".rstrip() for word, side in sides if side is not None)


def declared_arguments(cls: type) -> dict[str, Argument[Any]]:
    """The arguments that a class and its bases declare, by name; those of its bases first."""
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    found = {name: inspect.getattr_static(cls, name) for name in names}
    return {name: each for name, each in found.items() if isinstance(each, Argument)}


def unknown_argument(task: str, name: str, known: Iterable[str], options: Iterable[str] = ()) -> TypeError:
    """The error for an argument that a task does not have; it begins with Python's own words, which clients look for
    to leave an argument out.

    Args:
        task: Name of the task.
        name: What the caller gave.
        known: The task's arguments.
        options: The environment's options.
    """
    known, options = list(known), list(options)
    return TypeError(
        f"{task}: __init__() got an unexpected keyword argument {name!r}.{suggestion(name, [*known, *options])} "
        f"Task arguments: {', '.join(known) or 'none'}."
        + (f" Environment options: {', '.join(options)}." if options else "")
    )


def arguments_table(arguments: Mapping[str, Argument[Any]]) -> list[str]:
    """Markdown lines of a table of arguments."""
    if not arguments:
        return ["None."]
    lines = ["| Argument | Default | Meaning |", "|---|---|---|"]
    for name, each in arguments.items():
        default = json.dumps(each.default) if isinstance(each.default, str) else str(each.default)
        unit = f" [{each.unit}]" if each.unit else ""
        extra = [part for part in (each.limits(), _choices(each)) if part]
        lines.append(f"| `{name}` | {default} | {'; '.join([each.meaning + unit, *extra])} |")
    return lines


def _choices(argument: Argument[Any]) -> str:
    return "" if argument.choices is None else " or ".join(f"`{json.dumps(value)}`" for value in argument.choices)


def with_arguments(text: str, arguments: Mapping[str, Argument[Any]]) -> str:
    """The docstring of a task with the table of its arguments, before the version history or at the end."""
    indent = "    "
    table = "\n".join(indent + line for line in ["## Arguments", "", *arguments_table(arguments)])
    before, mark, after = text.partition(f"{indent}## Version History")
    return f"{before.rstrip()}\n\n{table}\n" + (f"\n{mark}{after}" if mark else indent)
