"""The project keeps its own rules."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
LAYOUT = {
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "compose.yaml",
    "entrypoint.py",
    "k8s",
    "migrations",
    "migrator",
    "pyproject.toml",
    "requirements-aws.lock",
    "requirements-azure.lock",
    "requirements-dev.lock",
    "requirements-gcp.lock",
    "requirements-lowest.lock",
    "requirements-sbom.lock",
    "requirements-scan.lock",
    "requirements.lock",
    "tests",
}
MADE = {"__pycache__", "build", "dist"}
"""What tools make at the top level; `.gitignore` has it."""

LONGEST = 400
SHIPPED = (
    "requirements.lock",
    "requirements-aws.lock",
    "requirements-azure.lock",
    "requirements-gcp.lock",
)
LOCKS = (
    *SHIPPED,
    "requirements-dev.lock",
    "requirements-lowest.lock",
    "requirements-sbom.lock",
    "requirements-scan.lock",
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def modules(folder: str) -> list[Path]:
    """Return the Python files of a folder."""
    return sorted((ROOT / folder).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(), filename=str(path))


def silent(path: Path, nodes: Iterator[Documented]) -> list[str]:
    """Return place and name of what has no docstring."""
    name = path.relative_to(ROOT)
    return [
        f"{name}:{getattr(node, 'lineno', 1)}: {getattr(node, 'name', 'the module')}"
        for node in nodes
        if not ast.get_docstring(node)
    ]


def public(tree: Documented) -> Iterator[Documented]:
    """Yield a module or class with what is public in it; not what functions define."""
    yield tree
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def functions_of_tests(tree: ast.Module) -> Iterator[Documented]:
    """Yield the test functions of a module, also those in classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node


def pins(name: str) -> dict[str, frozenset[str]]:
    """Return the requirements of a lock file with their hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    split = (line.partition(" --hash=") for line in lines if line.strip())
    return {
        pin.strip(): frozenset(f"--hash={hashes}".split()) for pin, _, hashes in split
    }


def texts() -> Iterator[tuple[Path, str]]:
    """Yield the project's text files; caches and other hidden folders are not ours."""
    places = [ROOT / name for name in (*LAYOUT, ".ci", ".dockerignore", ".gitignore")]
    for place in places:
        for path in place.rglob("*") if place.is_dir() else (place,):
            if path.is_file() and path.parent.name != "__pycache__":
                yield path.relative_to(ROOT), path.read_text(errors="replace")


def test_every_test_states_a_behaviour() -> None:
    """Each test function has a docstring."""
    found = [
        line
        for path in modules("tests")
        for line in silent(path, functions_of_tests(parsed(path)))
    ]

    assert found == []


def test_everything_public_is_documented() -> None:
    """Each module, public class and public function of the package has a docstring."""
    found = [
        line
        for path in modules("migrator")
        for line in silent(path, public(parsed(path)))
    ]

    assert found == []


def test_no_module_is_long() -> None:
    """A module is read in one sitting: 400 lines."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in modules("migrator")
    }

    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_lock_files_pin_and_name_no_host(name: str) -> None:
    """Each requirement is one version with hashes, from whatever index there is."""
    text = (ROOT / name).read_text()
    loose = [
        pin
        for pin, hashes in pins(name).items()
        if not re.match(r"[\w.-]+(\[[\w,-]+\])?==[^ ]+( ; .+)?$", pin)
        or not all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes)
    ]

    assert loose == []
    assert "http" not in text


@pytest.mark.parametrize("name", SHIPPED)
def test_development_has_what_ships(name: str) -> None:
    """What the image holds is tested: same versions, same hashes."""
    assert pins(name).items() <= pins("requirements-dev.lock").items()


def test_the_top_level_is_as_fixed() -> None:
    """Nothing lies beside the folders and files that the README describes."""
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert found - MADE == LAYOUT


def test_no_file_names_a_machine() -> None:
    """No file holds a path that exists on one developer's machine only."""
    personal = re.compile(r"(?<![\w.:])/(?:root|home|Users)/\w")
    found = [
        f"{path}: {match.group()}"
        for path, text in texts()
        for match in personal.finditer(text)
    ]

    assert found == []


def test_types_and_versions_are_declared() -> None:
    """Who imports the package gets its types; an index shows the Pythons that run it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classifiers = set(project["classifiers"])

    assert (ROOT / "migrator" / "py.typed").read_bytes() == b""
    assert {
        f"Programming Language :: Python :: 3.{n}" for n in range(11, 16)
    } <= classifiers
    assert "Typing :: Typed" in classifiers
