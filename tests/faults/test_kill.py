"""`kill -9` at any moment of a run, and the next run converges."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Tell
from tests.faults.migrations import KINDS
from tests.faults.process_pool import TrialPool
from tests.faults.server import Server
from tests.faults.trial import Trial


MOMENTS = 125
"""For each kind and each way: 500 together."""


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment(
    hands: TrialPool,
    roomy: Server,
    directories: dict[str, Path],
    both_ways: str,
    kind: str,
    tell: Tell,
) -> None:
    """Nothing is lost and nothing is done twice, whatever was going on."""
    pipeline = {"MIGRATOR_PIPELINE": str(both_ways == "on").lower()}
    trial = Trial(port=roomy.port, directory=directories[kind], environ=pipeline)
    (undisturbed,) = hands.try_all([trial])
    takes_s, dice = hands.takes_s(trial), random.Random(f"{kind} {both_ways}")
    moments = [dice.uniform(0.001, takes_s) for _ in range(MOMENTS)]

    outcomes = hands.try_all(replace(trial, killed_s=moment) for moment in moments)

    killed = sum(outcome.fired for outcome in outcomes)
    tell(
        f"{kind}, pipeline={both_ways}, kill -9: {len(outcomes)} moments of a run of"
        f" {takes_s * 1000:.0f} ms, {killed} of them before its end"
    )
    wanted = undisturbed.state
    assert [fault for outcome in outcomes for fault in outcome.faults(wanted)] == []
    assert len(outcomes) == MOMENTS
    assert killed > MOMENTS / 2
