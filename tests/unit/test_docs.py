"""
README, topic pages and CHANGELOG say what the code does.

`python -m tests.unit.test_docs` writes the generated tables into the pages that have
their markers, and the settings into the schema of the Helm chart's values.
"""

import inspect
import io
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from migrator import MigrationRunner
from migrator.cli import main
from migrator.commands import ARGUMENTS, COMMANDS, command
from migrator.config.arguments import FLAGS, Command
from migrator.config.environment import FALLBACKS, variable_name
from migrator.config.settings import Settings
from migrator.config.types import parse_duration
from migrator.engine.run_context import Policy
from migrator.events.base import Event
from migrator.events.finding import MigrationListed
from migrator.events.watching import Blocker
from migrator.exit_codes import MEANINGS, ExitCode
from migrator.pg.tracking import history_table
from migrator.report.console import Console
from migrator.report.schema import all_events, schema
from migrator.source.python_file import parse_module
from migrator.sql.goose.faults import HAZARDS
from tests.k8s import chart
from tests.unit.sql.support import parsed as parsed_file


ROOT = Path(__file__).parents[2]
FOLDERS = ("k8s", "migrations", "migrator", "tests")
MARKDOWN = sorted(
    (
        *ROOT.glob("*.md"),
        *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md")),
    )
)
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in MARKDOWN}
README = PAGES["README.md"]
DEPLOYING = PAGES["k8s/README.md"]
RUNBOOK = PAGES["k8s/RUNBOOK.md"]
OPERATING = PAGES["k8s/OPERATING.md"]
FORMAT = PAGES["migrations/FORMAT.md"]
REFERENCE = PAGES["migrator/REFERENCE.md"]
LIBRARY = PAGES["migrator/LIBRARY.md"]
LEVELS = ("debug", "info", "warning", "error")
SETTINGS = {field.name: field for field in fields(Settings)}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def marked(name: str) -> str:
    """Return what stands in one page between `<!-- name -->` and `<!-- end -->`."""
    block = re.compile(rf"<!-- {name} -->\n(.*?)\n?<!-- end -->", re.DOTALL)
    found = [text for page in PAGES.values() for text in block.findall(page)]
    assert len(found) == 1, f"{len(found)} pages have <!-- {name} -->"
    return str(found[0]).strip()


def fenced(language: str, text: str) -> list[str]:
    """Return the code blocks of *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def summary(documented: object) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


def commands() -> str:
    """Return the table of commands."""
    rows = (
        (f"`{name} {ARGUMENTS.get(name, '')}".rstrip() + "`", summary(command(name)))
        for name in COMMANDS
    )
    return table(("command", "what it does"), rows)


def flags() -> str:
    """Return the table of flags."""
    rows = (
        (
            f"`-{name} {flag.value}`".replace(" `", "`"),
            flag.meaning,
            f"`{variable_name(flag.field)}`" if flag.field in SETTINGS else "-",
        )
        for name, flag in FLAGS.items()
    )
    return table(("flag", "meaning", "variable"), rows)


def shown(default: object) -> str:
    """Return a setting's default as it is written into the environment."""
    match default:
        case None | ():
            return "-"
        case bool():
            return f"`{str(default).lower()}`"
        case float():
            return f"`{duration(default)}`"
        case Enum():
            return f"`{default.value}`"
        case (*several,):
            return f"`{':'.join(map(str, several))}`"
        case _:
            return f"`{default}`"


def duration(number: float) -> str:
    """Return seconds as a duration: 60s, 5m, 0."""
    if not number:
        return "0"
    return f"{number / 60:g}m" if number > 60 and not number % 60 else f"{number:g}s"


def settings() -> str:
    """Return the table of settings."""
    rows = (
        (f"`{variable_name(name)}`", shown(field.default), field.metadata["meaning"])
        for name, field in SETTINGS.items()
    )
    return table(("variable", "default", "meaning"), rows)


def fallbacks() -> str:
    """Return the table of other tools' names for our settings."""
    rows = (
        (f"`{variable_name(name)}`", ", ".join(f"`{other}`" for other in others))
        for name, others in FALLBACKS.items()
    )
    return table(("variable", "then"), rows)


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = (
        (str(int(code)), code.name.lower(), it.summary, it.database, it.again)
        for code, it in MEANINGS.items()
    )
    return table(("code", "name", "meaning", "database", "again"), rows)


def levels(event: type[Event]) -> str:
    """Return the log levels of an event; some depend on its fields."""
    getter = inspect.getattr_static(event, "severity").fget
    own = [level for level in LEVELS if level in getter.__code__.co_consts]
    return " or ".join(own or [event.level])


def events() -> str:
    """Return the table of events."""
    rows = (
        (f"`{event.name}`", levels(event), summary(event)) for event in all_events()
    )
    return table(("event", "level", "what happened"), rows)


def layers() -> str:
    """Return the layers that import-linter checks, as a code block."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    outer, inner = (each["layers"] for each in contracts if each["type"] == "layers")
    return "\n".join(("```", *outer, "", "inside pg:", *inner, "```"))


def modules() -> str:
    """Return the table of modules, each folder behind the modules beside it."""
    package = ROOT / "migrator"
    paths = sorted(package.rglob("*.py"), key=lambda path: (path.parent, path.name))
    names = (str(path.relative_to(package)) for path in paths)
    rows = (
        (f"`{name.removesuffix('__init__.py')}`", module_summary(package / name))
        for name in names
        if name != "__init__.py"
    )
    return table(("module", "its job"), rows)


def module_summary(path: Path) -> str:
    """Return the first paragraph of a module's docstring, without importing it."""
    found = re.match(r'"""\s*(.*?)\s*(?:"""|\n\n)', path.read_text(), re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def make() -> str:
    """Return the table of make's targets."""
    targets = re.findall(
        r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    return table(("command", ""), ((f"`make {name}`", does) for name, does in targets))


def anchors(text: str) -> set[str]:
    """Return the anchors of a Markdown text's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    bare = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in bare}


GENERATED = (
    commands,
    flags,
    settings,
    fallbacks,
    exit_codes,
    events,
    layers,
    modules,
    make,
)


def marker(generated: Callable[[], str]) -> str:
    """Return the name in the page's comment before what *generated* returns."""
    return generated.__name__.replace("_", " ")


def renewed(text: str) -> str:
    """Return *text* with each generated table replaced by what the code says today."""
    for generated in GENERATED:
        start, end = f"<!-- {marker(generated)} -->\n", "\n<!-- end -->"
        if start not in text:
            continue
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        text = f"{before}{start}\n{generated()}\n{end}{after}"
    return text


@pytest.mark.parametrize("generated", GENERATED)
def test_the_pages_show_the_code(generated: Callable[[], str]) -> None:
    """What stands between markers in the README is what the code says."""
    name, expected = marker(generated), generated()

    assert marked(name) == expected, (
        "run `python -m tests.unit.test_docs`, or paste between"
        f" <!-- {name} --> and <!-- end -->:\n\n{expected}\n"
    )


def test_every_setting_has_a_meaning() -> None:
    """A field without a description would be an empty cell."""
    silent = [n for n, field in SETTINGS.items() if not field.metadata["meaning"]]

    assert silent == []


def test_durations_are_shown_as_they_are_read() -> None:
    """A duration copied from the README gives the default that it stands for."""
    defaults = [
        field.default for field in SETTINGS.values() if isinstance(field.default, float)
    ]

    assert [parse_duration(duration(default)) for default in defaults] == defaults
    assert [duration(x) for x in (0.0, 5.0, 60.0, 300.0)] == ["0", "5s", "60s", "5m"]


def test_commands_are_the_same_everywhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Setting, functions and --help name the same commands, in the same order."""
    main(["--help"], {})
    listing = capsys.readouterr().out.partition("Commands:\n")[2]

    assert get_args(Command) == tuple(COMMANDS)
    assert re.findall(r"^  ([a-z-]+) ", listing.partition("\n\n")[0], re.MULTILINE) == [
        *COMMANDS,
        "help",
    ]


def test_every_event_is_in_the_schema() -> None:
    """The schema of the log lines is valid and has one case for each event."""
    found = schema()
    Draft202012Validator.check_schema(found)
    cases = [
        (case["properties"]["event"]["const"], bool(case["description"]))
        for case in found["oneOf"]
    ]

    assert cases == [(event.name, True) for event in all_events()]


def test_the_log_in_the_runbook_is_valid() -> None:
    """The examples have the fields that a run writes today; a failed run is one."""
    lines = [
        json.loads(line)
        for text in fenced("json", RUNBOOK)
        for line in text.splitlines()
    ]
    validator = Draft202012Validator(schema())

    assert [line["event"] for line in lines] == [
        "migration.failed",
        "run.finished",
        "statement.blocked",
        "statement.progressed",
    ]
    assert [list(validator.iter_errors(line)) for line in lines] == [[], [], [], []], (
        "run a migration that fails, and one that takes long, and paste their lines"
    )
    assert lines[1]["exit_code"] == ExitCode[lines[1]["outcome"].upper()]
    assert list(lines[2]["blockers"][0]) == list(Blocker._fields)


def test_the_console_in_the_runbook_is_that_of_the_log() -> None:
    """The last lines of both examples are the same two events."""
    (example,) = fenced("text", RUNBOOK)
    (logged,) = (text for text in fenced("json", RUNBOOK) if "run.finished" in text)
    kinds = {event.name: event for event in all_events()}
    stream = io.StringIO()
    console = Console(stream)

    for line in map(json.loads, logged.splitlines()):
        kind = kinds[line["event"]]
        fields = {name: line[name] for name in kind.fields}
        console.write(kind(**fields), fields)

    assert example.endswith(stream.getvalue())


def test_every_hazard_is_explained() -> None:
    """The table of refused files has a row for each kind of hazard."""
    named = re.findall(r"^\| `(\w+)` \|", marked("hazards"), re.MULTILINE)

    assert sorted(named) == sorted(HAZARDS)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file that is there, and a heading in it."""
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text())
    targets = [
        ((path.parent / file).resolve() if file else path, anchor)
        for file, anchor in links
    ]
    broken = [
        (target.name, anchor)
        for target, anchor in targets
        if not target.exists() or (anchor and anchor not in anchors(target.read_text()))
    ]

    assert broken == []


def test_the_image_reads_where_the_readme_copies() -> None:
    """The two lines of an image of one's own put the files where they are looked for."""
    stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    workdir = re.findall(r"^WORKDIR (.*)$", stage, re.MULTILINE)[-1]
    read_from = Path(workdir).joinpath(*Settings().migrations_dir)

    assert fenced("dockerfile", README) == [
        f"FROM migrator\nCOPY migrations {read_from}\n"
    ]


def test_the_library_is_used_as_it_is() -> None:
    """The page's examples call what `MigrationRunner` has."""
    examples = "\n".join(fenced("python", LIBRARY))
    called = re.findall(r"\brunner\.(\w+)", examples)
    public = [name for name in called if hasattr(MigrationRunner, name)]
    compile(examples, "LIBRARY.md", "exec")

    assert called == public
    assert "up" in called


def test_the_arguments_of_the_library_are_described() -> None:
    """The page has a row for each argument of `MigrationRunner`, in its order."""
    named = re.findall(r"^\| `(\w+)` \|", marked("library"), re.MULTILINE)

    assert named == list(inspect.signature(MigrationRunner).parameters)


def test_the_examples_are_migrations() -> None:
    """What the pages show as a migration, in SQL or Python, has no fault."""
    scripts = [text for text in fenced("python", FORMAT) if "def up(" in text]
    files = [text for text in fenced("sql", README) if "+goose Up" in text]
    found = [
        *(parse_module(s.encode(), version=1, path="p", file="p") for s in scripts),
        *map(parsed_file, files),
    ]

    assert [(m.up.faults, m.down.faults) for m in found] == [((), ())] * 2


def is_part(part: object, whole: object) -> bool:
    """Whether *whole* says all that *part* says; lists are of equal length."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and is_part(part[name], whole[name]) for name in part)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(is_part, part, whole))
    return part == whole


def test_the_compose_snippet_is_that_of_compose_yaml() -> None:
    """The README's services start like those that are tested; images are the reader's."""
    (snippet,) = (
        text for text in fenced("yaml", README) if text.startswith("services:")
    )
    services = yaml.safe_load(snippet)["services"]
    del services["migrate"]["image"], services["app"]["image"]

    assert is_part(
        services, yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    )


def test_the_job_in_the_readme_is_that_of_the_base() -> None:
    """It says nothing that the tested Job does not say, but for its own name."""
    (snippet,) = (
        text for text in fenced("yaml", README) if text.startswith("apiVersion: batch")
    )
    job = yaml.safe_load(snippet)
    job["metadata"]["name"] = "migrator"

    assert is_part(job, yaml.safe_load((ROOT / "k8s/base/job.yaml").read_text()))


def test_the_common_settings_have_their_defaults() -> None:
    """The README's ten settings exist, with the defaults that it shows."""
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", marked("common settings"), re.MULTILINE
    )
    defaults = {
        variable_name(name): shown(field.default) for name, field in SETTINGS.items()
    }

    assert len(rows) == 10
    assert [(name, defaults[name]) for name, _ in rows] == rows


def test_the_health_check_is_that_of_compose() -> None:
    """The page's is the example's, which runs the image's own entry point."""
    (snippet,) = (
        text for text in fenced("yaml", DEPLOYING) if text.startswith("healthcheck:")
    )
    example = yaml.safe_load((ROOT / "k8s/compose/linger.yaml").read_text())
    check = example["services"]["migrate"]["healthcheck"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)

    assert yaml.safe_load(snippet)["healthcheck"].items() <= check.items()
    assert check["test"] == ["CMD", *json.loads(entry), "healthcheck"]


def test_the_waiting_container_is_one_that_runs() -> None:
    """The page's init container calls a command and sets variables that exist."""
    (snippet,) = (
        text for text in fenced("yaml", DEPLOYING) if text.startswith("initContainers:")
    )
    (container,) = yaml.safe_load(snippet)["initContainers"]
    known = {variable_name(name) for name in SETTINGS}

    assert container["args"][0] in COMMANDS
    assert {each["name"].removesuffix("_FILE") for each in container["env"]} <= known


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_settings_are_named(path: Path) -> None:
    """No text names a variable that is not read, but as an example of one."""
    named = set(re.findall(r"\bMIGRATOR_[A-Z_]+[A-Z]\b", path.read_text()))
    known = {variable_name(name) for name in SETTINGS}

    unknown = {name.removesuffix("_FILE") for name in named - known} - known

    assert unknown <= {"MIGRATOR_PORT"}


def test_each_failure_has_a_way_out() -> None:
    """Under "When it failed" each exit code but 0 has a line, and no other code."""
    section = RUNBOOK.partition("\n## When it failed\n")[2].partition("\n## ")[0]
    heads = re.findall(r"^- \*\*([\d, ]+):", section, re.MULTILINE)
    codes = [int(code) for head in heads for code in head.split(", ")]

    assert codes == [int(code) for code in ExitCode if code is not ExitCode.OK]


def test_each_warning_has_advice() -> None:
    """The runbook says for each event that can be a warning what to do about it."""
    heads = re.findall(r"^\| (`.*?) \|", marked("warnings"), re.MULTILINE)
    named = re.findall(r"`([\w.]+)`", " ".join(heads))
    warnings = [event.name for event in all_events() if "warning" in levels(event)]

    assert sorted(named) == sorted(warnings)


def test_the_side_table_is_described() -> None:
    """The reference has a row for each column of `migrator_history`, in its order."""
    create = inspect.getsource(history_table).partition("CREATE TABLE")[2]
    columns = re.findall(r"^    (\w+) \w", create.partition('"""')[0], re.MULTILINE)
    named = re.findall(r"^\| `(\w+)` \|", marked("history"), re.MULTILINE)

    assert named == columns


def test_each_example_file_is_explained() -> None:
    """The migrations' own README links every file beside it."""
    folder = ROOT / "migrations"
    linked = re.findall(r"\]\((\d+_[\w.]+)\)", (folder / "README.md").read_text())

    assert linked == sorted(path.name for path in folder.glob("*_*.*"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page: str) -> None:
    """One topic a page: the README has at most 250 lines, each other page 400."""
    assert len(PAGES[page].splitlines()) <= (250 if page == "README.md" else 400)


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"README.md"}))
def test_a_page_is_linked_from_the_readme(page: str) -> None:
    """Directly, or, for a folder of tests, from the page of all tests."""
    folder, _, name = page.removeprefix("tests/").rpartition("/")
    below = page.startswith("tests/") and folder
    text, link = (
        (PAGES["tests/README.md"], f"{folder}/{name}") if below else (README, page)
    )

    assert f"]({link}" in text


def test_no_sentence_stands_twice() -> None:
    """What one page says, another one links; 50 characters make a sentence."""
    prose = (re.sub(r"```.*?```", "", text, flags=re.DOTALL) for text in PAGES.values())
    lines = [line for text in prose for line in text.splitlines()]
    parts = [
        part.strip(" -|*")
        for line in lines
        if not line.startswith("#")
        for part in re.split(r"(?<=[.:;]) |\| ", line)
    ]
    counts = Counter(part for part in parts if len(part) >= 50)

    assert [part for part, count in counts.items() if count > 1] == []


def test_the_changelog_has_the_next_version() -> None:
    """Changes are collected under [Unreleased], in the sections of Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    first, *_ = re.findall(r"^## (.*)$", text, re.MULTILINE)
    sections = set(re.findall(r"^### (.*)$", text, re.MULTILINE))

    assert first == "[Unreleased]"
    assert sections <= {
        "Security",
        "Removed",
        "Deprecated",
        "Added",
        "Changed",
        "Fixed",
    }


if __name__ == "__main__":
    for page, text in PAGES.items():
        (ROOT / page).write_text(renewed(text))
    chart.renew()


@pytest.mark.parametrize(
    "page",
    sorted((ROOT / "tests").glob("*/README.md")),
    ids=lambda page: page.parent.name,
)
def test_a_folders_page_lists_its_tests(page: Path) -> None:
    """Each file of tests has its row, so that nobody has to guess what it holds."""
    named = set(re.findall(r"`(test_\w+\.py)`", page.read_text()))

    assert {file.name for file in page.parent.glob("test_*.py")} <= named


def test_the_reference_names_every_state() -> None:
    """What `status` can say, as its event documents it."""
    documented = inspect.getsource(MigrationListed)
    states = set(re.findall(r"`(\w+)`", documented)) - {"status"}
    (line,) = re.findall(r"^- \*\*`status`\*\* shows.*$", REFERENCE, re.MULTILINE)

    assert states == {"applied", "pending", "missing", "unknown", "begun"}
    assert all(f"`{state}`" in line for state in states)


def test_the_pages_say_how_often_waiters_look() -> None:
    """For the lock, and for a version; a pause is between half and all of its step."""
    lock = Policy().lock_backoff
    first, most = lock.initial_s, lock.max_s

    assert (
        f"The others look again after {first:g} seconds at most, then ever more rarely,"
        f" at last every {most / 2:g} to {most:g} seconds" in OPERATING
    )
    assert (
        "it looks again after 0.2 seconds at most, then ever more rarely" in REFERENCE
    )
    assert "at last every 2.5 to 5 seconds" in REFERENCE


def test_the_page_on_writing_migrations_knows_what_is_resumed() -> None:
    """A file without a transaction goes on where it stopped."""
    page = (ROOT / "migrations" / "README.md").read_text()

    assert "Nothing remembers" not in page
    assert "`status` calls it `begun`" in page
