"""Secrets to plant, every place where one can enter a run, and the search for them."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from migrator.cli import main


_MARK = re.compile(r"zq7\w*qz", re.IGNORECASE)
_HARD = "p@s'/%&?"
"""What URLs, connection strings, SQL and Python each write in a way of their own."""


def secret(place: str, *, hard: bool = False) -> str:
    """A password that no other place has; a *hard* one has to be escaped everywhere."""
    mark = f"Zq7{place}qZ"
    return f"{mark}{_HARD}{mark}" if hard else mark


def no_secret(*texts: str) -> None:
    """Fail when one of *texts* has a planted secret, or part of one."""
    for text in texts:
        found = _MARK.search(text)
        near = found and text[max(0, found.start() - 200) : found.end() + 100]
        assert found is None, f"the output contains a secret: {near}"


@dataclass(frozen=True, slots=True)
class Told:
    """All that one run has said, to whomever."""

    exit_code: int
    texts: tuple[str, ...]

    @property
    def all(self) -> str:
        """Everything, in one text."""
        return "\n".join(self.texts)


@dataclass(frozen=True, slots=True)
class Listener:
    """Runs the command in every format at its most talkative, and hears everything."""

    folder: Path
    capfd: pytest.CaptureFixture[str]
    environ: Mapping[str, str] = field(default_factory=dict)

    def hear(self, argv: Sequence[str], environ: Mapping[str, str]) -> Told:
        """
        Run the command as JSON and for people, with what libpq reads in `os.environ`.

        What the termination message, stdout and stderr said comes back, and has been
        searched for secrets.
        """
        codes, texts = set(), []
        for log_format in ("json", "console"):
            place = self.folder / "termination"
            place.write_text("")
            stdout = io.StringIO()
            settings = {
                "MIGRATOR_LOG_FORMAT": log_format,
                "MIGRATOR_LOG_LEVEL": "debug",
                "MIGRATOR_TERMINATION_LOG": str(place),
                "MIGRATOR_CONNECT_WAIT": "50ms",
                "MIGRATOR_LOCK_RETRY": "50ms",
                "MIGRATOR_LOCK_TIMEOUT": "50ms",
            }
            codes.add(main(argv, {**self.environ, **settings, **environ}, stdout))
            texts += [stdout.getvalue(), place.read_text(), *self.capfd.readouterr()]
        no_secret(*texts)
        assert len(codes) == 1
        return Told(codes.pop(), tuple(texts))
