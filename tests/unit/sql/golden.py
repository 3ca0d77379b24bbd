"""A parsed file as text that a reviewer reads like prose."""

from migrator.domain.model import Direction, Migration, Split
from tests.unit.sql.support import parsed


ENVIRON = {"SCHEMA": "app", "TWO_LINES": "1,\n  2"}


def rendered(content: bytes) -> str:
    """Return what both splits make of a file."""
    return "\n".join(
        f"== {split.value}\n{_rendered(content, split)}" for split in Split
    )


def _rendered(content: bytes, split: Split) -> str:
    migration = parsed(content, split, ENVIRON)
    lines = [] if migration.transaction else ["no transaction"]
    for direction in Direction:
        lines.extend(_half(migration, direction))
    return "".join(f"{line}\n" for line in lines)


def _half(migration: Migration, direction: Direction) -> list[str]:
    lines = []
    for each in migration.section(direction).statements:
        jumps = "".join(f", line {n} is {line}" for n, line in each.jumps)
        lines.append(f"{direction.value} {each.line}:{each.column}{jumps}")
        lines.extend(f"  | {line}" for line in each.text.split("\n"))
        if each.data is not None:
            lines.extend(f"  > {line!r}" for line in "".join(each.data).splitlines())
    lines.extend(
        f"{direction.value} {fault.slug} {fault}"
        for fault in migration.section(direction).faults
    )
    return lines
