"""Where in its file a step stands: at which statement, or at a message of our own."""

from collections.abc import Iterator

from migrator.facts import Place
from migrator.model import Statement, Step


NOTHING = Statement("", 1)
"""What has no words of the file."""


def placed(step: Step) -> Iterator[tuple[Place, Statement]]:
    """
    Yield the statements of *step* with their places.

    Raises:
        FileChangedError: The file is a large one, and not what it was.
    """
    for number, statement in enumerate(step.statements, 1):
        yield step.migration.place(statement, number), statement


def nowhere(step: Step, phase: str = "") -> Place:
    """Return the place of what we send ourselves in *phase*, or of the whole file."""
    return step.migration.place(NOTHING, 0)._replace(phase=phase)
