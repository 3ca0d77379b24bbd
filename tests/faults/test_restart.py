"""The server is killed and started again under a run, and the next run converges."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Tell
from tests.faults.migrations import KINDS
from tests.faults.proxy import Direction
from tests.faults.server import Server
from tests.faults.trial import Trial, tried


MOMENTS = 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_crashes_at_any_moment(
    narrow: Server,
    directories: dict[str, Path],
    both_ways: str,
    kind: str,
    tell: Tell,
) -> None:
    """What `pg_ctl restart -m immediate` does: all sessions die, what is committed stays."""
    pipeline = {"MIGRATOR_PIPELINE": str(both_ways == "on").lower()}
    trial = Trial(port=narrow.port, directory=directories[kind], environ=pipeline)
    undisturbed = tried(trial)
    crashing = replace(trial, crashes=narrow)

    outcomes = [
        tried(replace(crashing, direction=direction, message=message))
        for direction, count in undisturbed.counts.items()
        for message in _spread(count)
    ]

    codes = Counter(o.first.exit_code.real for o in outcomes if o.first)
    tell(
        f"{kind}, pipeline={both_ways}, server killed and started again:"
        f" {len(outcomes)} moments, exit codes {dict(sorted(codes.items()))}"
    )
    wanted = undisturbed.state
    assert [fault for outcome in outcomes for fault in outcome.faults(wanted)] == []
    assert len(outcomes) == MOMENTS * len(Direction)


def _spread(count: int) -> list[int]:
    return [1 + n * (count - 1) // (MOMENTS - 1) for n in range(MOMENTS)]
