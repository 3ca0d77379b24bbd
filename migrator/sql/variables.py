"""The variables in goose's lines and in rows: expanded, or a fault."""

import re
from collections.abc import Iterable, Iterator, Mapping

from migrator.model import Direction
from migrator.sql.findings import Findings
from migrator.sql.rows import rows_of


_SURROGATE = re.compile("[\udc80-\udcff]")
_Sides = tuple[Direction, ...]


class Variables:
    """Expands lines; one that cannot be expanded stays as it is."""

    def __init__(self, environ: Mapping[str, str], findings: Findings) -> None:
        self._environ = environ
        self._findings = findings

    def expand(
        self, line: str, number: int, sides: _Sides, *, own: Direction | None
    ) -> str:
        """
        Return the file's line *number* with its variables expanded.

        What cannot be expanded stops *sides*; a variable that is not set is a warning
        for the half whose text the line is, if it is.
        """
        from migrator.sql.envsub import SubstitutionError, expand  # noqa: PLC0415 - rare

        broken = _SURROGATE.search(line)
        if broken:
            self._findings.add("invalid_utf8", number, broken.start() + 1, sides=sides)
            return line

        def unset(name: str, position: int) -> None:
            if own is not None:
                self._findings.warn(
                    "variable_unset", number, position + 1, sides=(own,), said=name
                )

        try:
            return expand(line, self._environ, unset)
        except SubstitutionError as error:
            column, why = error.position + 1, error.reason
            self._findings.add("envsub", number, column, sides=sides, why=why)
            return line

    def rows(self, texts: Iterable[str], number: int, sides: _Sides) -> Iterator[str]:
        """Yield the rows of COPY that *texts* start with; the first has *number*."""
        for rows in rows_of(texts):
            lines = rows.removesuffix("\n").split("\n")
            expanded = (
                self.expand(x, n, sides, own=sides[0])
                for n, x in enumerate(lines, number)
            )
            yield "".join(f"{line}\n" for line in expanded)
            number += len(lines)
