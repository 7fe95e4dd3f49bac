"""What reading a configuration found: places, problems and warnings, all of them."""

from __future__ import annotations

from typing import Final, NoReturn

import attrs
from typing_extensions import override

from tbtwist.errors import ConfigError, ConfigProblem

_SHOWN_CHARACTERS: Final = 40


@attrs.frozen
class Place:
    """Where something was written: a position in a file, or a variable's name."""

    source: str
    line: int = 0
    column: int = 0

    @override
    def __str__(self) -> str:
        """Return ``file:line:column``, or the variable's name."""
        if not self.line:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"

    @property
    def in_file(self) -> bool:
        """Whether this is a position in a file."""
        return bool(self.line)

    @property
    def order(self) -> tuple[bool, int, int]:
        """Return a sort key: the file from top to bottom, then the variables."""
        return (not self.in_file, self.line, self.column)


DEFAULT: Final = Place("default")


@attrs.define(eq=False)
class Findings:
    """Collects problems and warnings, so that a user hears of all of them at once."""

    _problems: list[tuple[Place, ConfigProblem]] = attrs.field(factory=list, init=False)
    _warnings: list[str] = attrs.field(factory=list, init=False)

    def problem(self, place: Place, key: str, expected: str) -> None:
        """Remember that ``key`` at ``place`` cannot be used, and what was expected."""
        found = ConfigProblem(where=str(place), key=key, expected=expected)
        self._problems.append((place, found))

    def warn(self, place: Place, key: str, text: str) -> None:
        """Remember something that is worth saying but stops nobody."""
        self._warnings.append(f"{place}: {key}: {text}")

    def concern(self, key: str) -> bool:
        """Whether there is a problem with ``key`` already."""
        return any(problem.key == key for _, problem in self._problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings in the order in which they were found."""
        return tuple(self._warnings)

    def check(self) -> None:
        """Stop here if there are problems.

        Raises:
            ConfigError: with all problems, in the order of the file.
        """
        if self._problems:
            raise self._error()

    def stop(self, place: Place, key: str, expected: str) -> NoReturn:
        """Give up: after this problem nothing more can be read.

        Raises:
            ConfigError: with this problem and all before it.
        """
        self.problem(place, key, expected)
        raise self._error() from None

    def _error(self) -> ConfigError:
        ordered = sorted(self._problems, key=lambda found: found[0].order)
        return ConfigError(problems=tuple(problem for _, problem in ordered))


def shown(text: str) -> str:
    """Return ``text`` fit for a message: one line, printable, not too long."""
    printable = repr(text)[1:-1]
    if len(printable) <= _SHOWN_CHARACTERS:
        return printable
    return printable[: _SHOWN_CHARACTERS - 1] + "…"
