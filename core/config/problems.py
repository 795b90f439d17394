"""What can be wrong with a configuration, each with its place and a stable code."""

from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..plugin_import import PluginProblem
from .marks import Mark

CODES: dict[str, str] = {
    "E01": "not readable as YAML",
    "E02": "duplicate key",
    "E03": "unknown key",
    "E04": "unknown component or plugin",
    "E05": "wrong value or type",
    "E06": "missing environment variable",
    "E07": "missing key",
    "E08": "broken plugin",
    "E09": "component of the wrong kind",
    "E10": "unknown or circular preset",
    "E11": "file can't be read",
    "E12": "unknown field",
    "E13": "names that clash",
    "E14": "no such connector",
    "E15": "terms forbid to learn from it",
}
"""The stable codes; docs/configuration.md explains each."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    file: as it is shown to people; line, column: from 1, or 0 where there is none, as for `--set`.
    hint: what would be right; may be empty.

    >>> print(Problem("E03", "no key is called 'slat'", "config.yaml", 14, 9, "did you mean 'slate'?"))
    config.yaml:14:9: error[E03] no key is called 'slat'; did you mean 'slate'?
    """

    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        said = f"{self.message}; {self.hint}" if self.hint else self.message
        return f"{where}: error[{self.code}] {said}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "hint": self.hint,
        }


class Problems:
    """Collects problems, so that all of them can be told at once."""

    def __init__(self) -> None:
        self._ranks: dict[Problem, int] = {}
        self._blamed: set[str] = set()

    def add(self, code: str, message: str, mark: Mark, hint: str = "") -> None:
        """Note one problem; the same one twice counts once."""
        file, message, hint = map(_printable, (mark.origin.name, message, hint.removeprefix("; ")))
        problem = Problem(code, message, file, mark.line, mark.column, hint)
        self._ranks.setdefault(problem, mark.origin.rank)

    def blame(self, problem: PluginProblem, mark: Mark) -> None:
        """Note what is wrong with a plugin; of one that is broken, once."""
        if problem.code in ("E08", "E13"):
            if str(problem) in self._blamed:
                return
            self._blamed.add(str(problem))
        self.add(problem.code, problem.message, mark, problem.hint)

    def __bool__(self) -> bool:
        return bool(self._ranks)

    def __len__(self) -> int:
        return len(self._ranks)

    def sorted(self) -> list[Problem]:
        """File by file, in the order of their lines."""
        return sorted(self._ranks, key=lambda each: (self._ranks[each], each.file, each.line, each.column))

    def check(self) -> None:
        """Raises ConfigError where there are any."""
        if self._ranks:
            raise ConfigError(self.sorted())


def _printable(text: str) -> str:
    """The text in one line that any terminal and file can take."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().splitlines())
