"""What is said of a table of our name that is somebody else's."""

import pytest

from migrator.pg.ownership import OwnershipFinding


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("v", "a view"),
        ("m", "a materialized view"),
        ("f", "a foreign table"),
        ("S", "a sequence"),
        ("c", "a composite type"),
        ("i", "an index"),
        ("I", "an index"),
        ("t", "a temporary table"),
        ("r", "a table"),
        ("p", "a partitioned table"),
        ("x", "x"),
    ],
)
def test_each_kind_of_relation_has_a_name(kind: str, words: str) -> None:
    """As pg_class.relkind has them; one that is newer than we are is shown as it is."""
    finding = OwnershipFinding(1, "public.a", None, kind, "eve", "kind")

    assert finding.reason == f"it is {words} owned by eve, not a permanent table"
