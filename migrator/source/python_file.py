"""
One Python file's bytes to a migration; nothing of it is run to find its faults.

    TRANSACTION = False     optional: the functions see to their transactions
    REPEATABLE = True       optional, then: one that was stopped may be called again

    def up(conn): ...       conn is a psycopg.Connection

    def down(conn): ...     optional, as in an SQL file
"""

import ast
import codecs
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from migrator.domain.model import Direction, Migration, Script, Section
from migrator.sql.goose.faults import BOTH, FaultCollector


_TEXTS = {
    "encoding": "this is not UTF-8; save the file as UTF-8",
    "syntax": "this is not Python {version}: {why}; correct it",
    "no_up": "there is no 'def up(conn)' at the top level; write one",
    "no_def": (
        "'{name}' must stand here once, as a plain 'def {name}(conn)' at the top"
        " level; rename or remove what else has the name"
    ),
    "async": "'{name}' is 'async def', and nothing awaits it; remove 'async'",
    "generator": (
        "'{name}' has a 'yield', so that calling it runs nothing; remove the 'yield'"
    ),
    "signature": (
        "'{name}' is called with the connection and nothing else;"
        " write 'def {name}(conn)'"
    ),
    "transaction": "TRANSACTION must be set once, at the top level, to True or False",
    "repeatable": "REPEATABLE must be set once, at the top level, to True or False",
    "no_module": (
        "there is no module '{module}' to import; install it where the migrator runs,"
        " or name its directory in PYTHONPATH"
    ),
    "relative_import": (
        "a migration belongs to no package; import from one that is installed,"
        " or write what you need into this file"
    ),
}


def parse_module(data: bytes, *, version: int, path: str, file: str) -> Migration:
    """
    Return the migration that *data*, read from *file*, holds.

    What is wrong with it is in its sections.
    """
    findings = FaultCollector(path, _TEXTS)
    up, down, transaction = Section(), Section(), True
    parsed = _parsed(data, file, findings)
    if parsed is not None:
        module = _Module(*parsed, file, findings)
        module.check_imports()
        transaction = module.flag("TRANSACTION", default=True)
        up, down = module.section(Direction.UP), module.section(Direction.DOWN)
        if not module.has("up"):
            findings.add("no_up", 0, 0)
    return Migration(
        version=version,
        path=path,
        up=Section(faults=findings.of(Direction.UP), script=up.script),
        down=Section(faults=findings.of(Direction.DOWN), script=down.script),
        transaction=transaction,
    )


def _parsed(
    data: bytes, file: str, findings: FaultCollector
) -> tuple[ast.Module, str] | None:
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode().replace("\r\n", "\n").replace("\r", "\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, file)
            # finds what is no matter of grammar, such as a `return` outside functions
            compile(tree, file, "exec", dont_inherit=True)
    except UnicodeDecodeError as error:
        before = data[: error.start].rpartition(b"\n")[2].decode()
        line = data.count(b"\n", 0, error.start) + 1
        findings.add("encoding", line, len(before) + 1)
    except SyntaxError as error:
        line = error.lineno or 0
        column = (error.offset or 0) if line else 0
        _add_syntax(findings, line, column, error.msg)
    except ValueError as error:
        _add_syntax(findings, 0, 0, str(error))
    except (RecursionError, MemoryError):
        _add_syntax(findings, 0, 0, "it is nested too deeply")
    else:
        return tree, text
    return None


def _add_syntax(findings: FaultCollector, line: int, column: int, why: str) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    findings.add("syntax", line, column, version=version, why=why)


_Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class _Module:
    """A module's syntax tree, and the faults that are found in it."""

    def __init__(
        self, tree: ast.Module, text: str, file: str, findings: FaultCollector
    ) -> None:
        self._tree = tree
        self._text = text
        self._lines = text.split("\n")
        self._file = file
        self._findings = findings
        self._repeatable = self.flag("REPEATABLE", default=False)

    def has(self, name: str) -> bool:
        """Return whether anything at the top level is called *name*."""
        return bool(self._bindings(name))

    def check_imports(self) -> None:
        """Add faults for top-level imports that cannot work, outside `try` and `if`."""
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                self._add("relative_import", node)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for module in _top_level(node):
                    if not _is_there(module):
                        self._add("no_module", node, module=module)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return the value of the constant *name*; *default* if it is not set."""
        found = self._bindings(name)
        literals = {id(target): value for target, value in self._literals()}
        for node in found:
            if id(node) not in literals or len(found) > 1:
                self._add(name.lower(), node)
        return literals.get(id(found[0]), default) if found else default

    def section(self, direction: Direction) -> Section:
        """Return the section of *direction*; an empty one without a function."""
        name, side = direction.value, (direction,)
        found = self._bindings(name)
        for node in found:
            if node not in self._tree.body or len(found) > 1 or not _is_def(node):
                self._add("no_def", node, sides=side, name=name)
                return Section()
        for function in found:
            assert isinstance(function, _Function)  # noqa: S101 - for the type checker
            for slug in _function_faults(function):
                self._add(slug, function, sides=side, name=name)
            return Section(script=self._script(function))
        return Section()

    def _script(self, function: _Function) -> Script:
        return Script(
            text=self._text,
            file=self._file,
            function=function.name,
            line=function.lineno,
            repeatable=self._repeatable,
        )

    def _literals(self) -> Iterator[tuple[ast.expr, bool]]:
        """Yield names that are set to True or False at the top level."""
        for node in self._tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                yield from ((target, value.value) for target in targets)

    def _bindings(self, name: str) -> list[ast.AST]:
        return [node for node in _scope(self._tree) if _bound(node) == name]

    def _add(
        self,
        slug: str,
        node: ast.AST,
        *,
        sides: tuple[Direction, ...] = BOTH,
        **fields: object,
    ) -> None:
        line = getattr(node, "lineno", 0)
        before = self._lines[line - 1].encode()[: getattr(node, "col_offset", 0)]
        column = len(before.decode(errors="replace")) + 1
        self._findings.add(slug, line, column, sides=sides, **fields)


def _scope(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of *tree*, without those inside its functions and classes."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, _SCOPES):
            yield from _scope(node)


def _bound(node: ast.AST) -> str | None:
    """Return the name that *node* gives a value to."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Name(ctx=ast.Store()):
            return node.id
        case ast.alias():
            return node.asname or node.name.partition(".")[0]
        case _:
            return None


def _is_def(node: ast.AST) -> bool:
    return isinstance(node, _Function)


def _function_faults(function: _Function) -> Iterator[str]:
    if isinstance(function, ast.AsyncFunctionDef):
        yield "async"
    elif any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _scope(function)):
        yield "generator"
    given = function.args
    others = (given.vararg, given.kwarg, *given.kwonlyargs)
    if len(given.posonlyargs) + len(given.args) != 1 or any(others):
        yield "signature"


def _top_level(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = (
        [node.module or ""]
        if isinstance(node, ast.ImportFrom)
        else [alias.name for alias in node.names]
    )
    return [name.partition(".")[0] for name in names]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # imported already, from nowhere, such as __main__
        return True
