"""
Mutants of a module: its text with one small fault in it.

mutmut and cosmic-ray do not fit. Neither drops a statement, and a dropped check or
clean-up is what a test misses most easily; cosmic-ray has one command and one time
limit for all mutants, mutmut forks the one process in which it runs every test.
"""

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault: in *path*, from *start* to *end*, is *new* in place of *old*."""

    path: Path
    lines: range
    """Where it is; empty where no function is run, but the module imported."""

    start: int
    end: int
    old: str
    new: str
    whole: str
    """`name` with whole lines, which no other mutant has."""

    def apply(self, folder: Path) -> None:
        """Write the module with the fault below *folder*."""
        text = (folder / self.path).read_bytes()
        changed = text[: self.start] + self.new.encode() + text[self.end :]
        (folder / self.path).write_bytes(changed)

    @property
    def name(self) -> str:
        """Return what it is, on one line."""
        return f"{self.path}: {_on_one_line(self.old)} -> {self.new}"


def mutants_of(folder: Path, path: Path) -> Iterator[Mutant]:
    """Yield every mutant of the module at *path* below *folder*."""
    text = (folder / path).read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(text)
    inside = _inside_functions(tree)
    for node, new in _faults(tree, inside):
        last = node.end_lineno or node.lineno
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[last - 1] + (node.end_col_offset or 0)
        lines = range(node.lineno, last + 1 if id(node) in inside else node.lineno)
        old = text[start:end].decode()
        before, after = text[starts[node.lineno - 1] : start], text[end : starts[last]]
        forms = (f"{before.decode()}{x}{after.decode()}" for x in (old, new))
        whole = f"{path}: {' -> '.join(map(_on_one_line, forms))}"
        yield Mutant(path, lines, start, end, old, new, whole)


Place = ast.expr | ast.stmt


def _inside_functions(tree: ast.Module) -> set[int]:
    return {
        id(part)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in function.body
        for part in ast.walk(statement)
    }


def _faults(tree: ast.Module, inside: set[int]) -> Iterator[tuple[Place, str]]:
    for node in _executed(tree):
        if isinstance(node, ast.expr):
            yield from ((node, f"({new})") for new in _of_expression(node))
        elif isinstance(node, ast.If | ast.While):
            yield node.test, f"(not ({ast.unparse(node.test)}))"
        elif isinstance(node, ast.Return) and not _is_constant(node.value):
            yield node, "return None"
        elif isinstance(node, ast.stmt) and id(node) in inside and _is_effect(node):
            yield node, "pass"


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is run, and not only read by people and type checkers."""
    match node:
        case ast.FunctionDef():
            parts: list[ast.AST] = [*node.args.defaults, *node.body]
        case ast.ClassDef():
            parts = [*node.body]
        case ast.AnnAssign():
            parts = [node.value] if node.value else []
        case ast.If(test=ast.Name("TYPE_CHECKING")) | ast.Assert() | ast.JoinedStr():
            return
        case ast.Expr(ast.Constant()) | ast.Call(ast.Name("TypeVar")):
            return
        case _:
            parts = list(ast.iter_child_nodes(node))
    yield node
    for part in parts:
        yield from _executed(part)


def _is_constant(value: ast.expr | None) -> bool:
    return value is None or isinstance(value, ast.Constant)


def _is_effect(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise():
            return True
        case ast.Assign([ast.Attribute() | ast.Subscript()]):
            return True
        case _:
            return False


_OPPOSITES: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Lt: ast.LtE(),
    ast.LtE: ast.Lt(),
    ast.Gt: ast.GtE(),
    ast.GtE: ast.Gt(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}
_ARITHMETIC: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Div(),
    ast.Div: ast.Mult(),
}
_WORD = re.compile(r"\w{1,20}", re.ASCII)


def _of_expression(node: ast.expr) -> Iterator[str]:
    """Yield what may stand in place of *node*."""
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                changed = copy.copy(node)
                changed.ops = [*node.ops]
                changed.ops[number] = _OPPOSITES[type(operator)]
                yield ast.unparse(changed)
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield ast.unparse(ast.BoolOp(other, node.values))
            for number in range(len(node.values)):
                rest = node.values[:number] + node.values[number + 1 :]
                yield ast.unparse(ast.BoolOp(node.op, rest) if rest[1:] else rest[0])
        case ast.UnaryOp(ast.Not()):
            yield ast.unparse(node.operand)
        case ast.IfExp():
            yield ast.unparse(ast.IfExp(node.test, node.orelse, node.body))
        case ast.BinOp() if type(node.op) in _ARITHMETIC and not _has_text(node):
            yield ast.unparse(
                ast.BinOp(node.left, _ARITHMETIC[type(node.op)], node.right)
            )
        case ast.Constant(value):
            yield from _of_constant(value)
        case _:
            return


def _of_constant(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int | float):
        yield repr(value * 2 + 1)
    elif isinstance(value, str) and _WORD.fullmatch(value):
        yield repr(f"{value}x")


def _has_text(node: ast.expr) -> bool:
    parts = ast.walk(node)
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in parts
    )


def _on_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
