"""goose's own parser, built from its module at test time."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


VERSION = "v3.27.3"
MODULE = f"github.com/pressly/goose/v3@{VERSION}"
_PROGRAM = Path(__file__).parent / "oracle" / "main.go"


@dataclass(frozen=True, slots=True)
class Question:
    """A file, the direction in which goose parses it, and the environment."""

    content: bytes
    direction: str = "up"
    environ: tuple[tuple[str, str], ...] = ()
    line: bool = False
    """Ask interpolate to expand *content* as one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goose makes of it."""

    statements: tuple[bytes, ...]
    transaction: bool
    error: str


class Goose:
    """A program around goose's internal parser."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def ask(self, questions: Iterable[Question]) -> list[Answer]:
        """Return goose's answers, in order."""
        lines = "".join(json.dumps(_encoded(question)) + "\n" for question in questions)
        done = subprocess.run(
            [self._program], input=lines.encode(), capture_output=True, check=True
        )
        return [_decoded(json.loads(line)) for line in done.stdout.splitlines()]

    def seconds(self, path: Path) -> float:
        """Return how long goose takes to parse a file, once and for Up only."""
        done = subprocess.run(
            [self._program, path], capture_output=True, text=True, check=True
        )
        return float(done.stdout)


def build(folder: Path) -> Goose:
    """
    Copy goose's module into *folder* and build the program inside it.

    The parser is internal to the module, so only code in the module can call it.
    """
    found = _go(["mod", "download", "-json", MODULE], folder)
    module = folder / "goose"
    shutil.copytree(json.loads(found)["Dir"], module, copy_function=shutil.copyfile)
    for each in [module, *module.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    (module / "internal" / "oracle").mkdir()
    shutil.copyfile(_PROGRAM, module / "internal" / "oracle" / "main.go")
    program = folder / "oracle"
    _go(["build", "-o", str(program), "./internal/oracle"], module)
    return Goose(program)


def testdata(folder: Path) -> list[Path]:
    """Return the files that goose tests its own parser with."""
    return sorted((folder / "goose/internal/sqlparser/testdata").rglob("*.sql"))


def _go(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


def _encoded(question: Question) -> Mapping[str, object]:
    return {
        "content": base64.b64encode(question.content).decode(),
        "direction": question.direction,
        "environ": dict(question.environ),
        "line": question.line,
    }


def _decoded(line: Mapping[str, object]) -> Answer:
    statements = line["statements"] or []
    assert isinstance(statements, list)
    return Answer(
        tuple(base64.b64decode(each) for each in statements),
        bool(line["transaction"]),
        str(line["error"]),
    )
