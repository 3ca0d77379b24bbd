"""
Which functions and operators a server has looked up, from the parse trees in its log.

With `debug_print_parse` PostgreSQL writes each analysed query as a tree of nodes
(outfuncs.c), where calls have the OIDs that name lookup has found, and every expression
has its type. Continued lines of the log begin with a tab.
"""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple


SETTINGS = {
    "debug_pretty_print": "off",
    "log_line_prefix": "[%u] ",
}
"""What the server has to be started with; debug_print_parse is for one role."""

Node = dict[str, Any]
_TOKEN = re.compile(r"[{}()]|(?:\\.|[^\s{}()\\])+")
_TYPES = (
    *("vartype", "consttype", "paramtype", "funcresulttype", "opresulttype"),
    *("resulttype", "array_typeid", "aggtype", "coalescetype", "casetype", "typeId"),
    *("minmaxtype", "wintype", "row_typeid", "type"),
)
_COERCIONS = {"RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR"}
_IMPLICIT = "2"
"""primnodes.h: COERCE_IMPLICIT_CAST."""


class Call(NamedTuple):
    """One function or operator, with the types of its arguments as they were written."""

    oid: int
    operator: bool
    arguments: tuple[int, ...]


def trees(log: Path, user: str) -> Iterator[str]:
    """Yield the parse trees of what *user* has sent."""
    whole = log.read_text(errors="replace").replace("\n\t", " ")
    for line in whole.splitlines():
        if line.startswith(f"[{user}] DETAIL:") and "{QUERY" in line:
            yield line


def calls(tree: str) -> set[Call]:
    """Return the calls in *tree*."""
    return {call for node in _nodes(_parse(tree)) for call in _calls(node)}


def _parse(text: str) -> list[Any]:
    root: list[Any] = []
    stack: list[Any] = [root]
    for token in _TOKEN.findall(text):
        match token:
            case "{" | "(":
                inner: list[Any] = [token]
                stack[-1].append(inner)
                stack.append(inner)
            case "}" | ")":
                if len(stack) > 1:
                    stack.pop()
            case _:
                stack[-1].append(token)
    return root


def _nodes(parts: list[Any]) -> Iterator[Node]:
    if parts and parts[0] == "{":
        yield _node(parts)
    for part in parts:
        if isinstance(part, list):
            yield from _nodes(part)


def _node(parts: list[Any]) -> Node:
    """Return the fields of a `{NAME :field value …}`; the name's key is ''."""
    node: Node = {"": parts[1] if len(parts) > 1 else ""}
    field = ""
    for part in parts[2:]:
        if isinstance(part, str) and part.startswith(":"):
            field = part[1:]
        elif field and field not in node:
            node[field] = part
    return node


def _calls(node: Node) -> Iterator[Call]:
    arguments = _arguments(node.get("args"))
    match node[""]:
        case "FUNCEXPR" if node.get("funcformat") != _IMPLICIT:
            key, operator = "funcid", False
        case "AGGREF":
            key, operator = "aggfnoid", False
        case "WINDOWFUNC":
            key, operator = "winfnoid", False
        case "OPEXPR" | "DISTINCTEXPR" | "NULLIFEXPR" | "SCALARARRAYOPEXPR":
            key, operator = "opno", True
        case _:
            return
    for each in product(*arguments):
        yield Call(int(node[key]), operator, each)


def _arguments(args: Any) -> list[set[int]]:
    """Return for each argument the types that it has had, before a coercion and after."""
    found = [each for each in args or () if isinstance(each, list)]
    return [set(_types(_node(each))) for each in found if each[0] == "{"]


def _types(node: Node) -> Iterator[int]:
    if node[""] == "TARGETENTRY":
        yield from _types(_node(node["expr"]))
        return
    if node[""] == "SUBLINK":
        yield from _types_of_sublink(node)
        return
    if node[""] == "BOOLEXPR" or node[""] in {"NULLTEST", "BOOLEANTEST"}:
        yield 16
        return
    name = next((each for each in _TYPES if each in node), None)
    if name is not None:
        yield int(node[name])
    inner = node.get("arg") or (node.get("args") or [None, None])[1]
    implicit = node[""] in _COERCIONS or node.get("funcformat") == _IMPLICIT
    if implicit and isinstance(inner, list):
        yield from _types(_node(inner))


def _types_of_sublink(node: Node) -> Iterator[int]:
    query = _node(node["subselect"])
    first = next((e for e in query.get("targetList", ()) if isinstance(e, list)), None)
    if node.get("subLinkType") == "0":
        yield 16
    elif first is not None:
        yield from _types(_node(first))
