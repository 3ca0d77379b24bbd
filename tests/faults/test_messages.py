"""At every message of a run its connection fails, and the next run converges."""

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import Tell
from tests.faults.migrations import KINDS
from tests.faults.process_pool import TrialPool
from tests.faults.proxy import Afterwards, Fault
from tests.faults.server import Server
from tests.faults.trial import Outcome, Trial


@dataclass(frozen=True, slots=True)
class Case:
    """What happens, and to which messages."""

    fault: Fault
    afterwards: Afterwards = Afterwards.SERVE
    deadline_s: float = 0.0
    signum: int = 0
    session: int = 0
    every: int = 1
    """1 for each message, 3 for each third one."""

    def trials(self, undisturbed: Outcome) -> Iterator[Trial]:
        """Yield the trials of a run that has as many messages as the undisturbed one."""
        for direction, count in undisturbed.counts.items():
            for message in range(1, count + 1, self.every):
                yield replace(
                    undisturbed.trial,
                    fault=self.fault,
                    direction=direction,
                    message=message,
                    afterwards=self.afterwards,
                    deadline_s=self.deadline_s,
                    signum=self.signum,
                    session=self.session,
                )


STALLED = Case(Fault.STALL, deadline_s=1.0, every=3)
CASES = {
    "cut": Case(Fault.CUT),
    "stalled": STALLED,
    "cut for good": Case(Fault.CUT, Afterwards.REFUSE, every=19),
    "stalled for good": Case(
        Fault.STALL, Afterwards.MUTE, signum=signal.SIGTERM, every=15
    ),
    "reset": Case(Fault.RESET, every=19),
    "dropped": Case(Fault.DROP, every=13),
    "work session ended": Case(Fault.ACT, session=1, every=9),
    "lock session ended": Case(Fault.ACT, session=2, every=9),
}


UNDER_A_LEASE = {
    "stalled": Case(Fault.STALL, deadline_s=1.0, every=25),
    "cut for good": Case(Fault.CUT, Afterwards.REFUSE, every=25),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_message(
    hands: TrialPool,
    roomy: Server,
    directories: dict[str, Path],
    both_ways: str,
    kind: str,
    case: str,
    tell: Tell,
) -> None:
    """The first run tells the truth in time, and the second one finishes its work."""
    trial = Trial(
        port=roomy.port,
        directory=directories[kind],
        environ={"MIGRATOR_PIPELINE": str(both_ways == "on").lower()},
    )

    summary, faults = disturbed(hands, trial, CASES[case])

    tell(f"{kind}, pipeline={both_ways}, {case}: {summary}")
    assert faults == []


@pytest.mark.parametrize("case", UNDER_A_LEASE)
def test_a_fault_under_a_lease(
    hands: TrialPool, roomy: Server, directories: dict[str, Path], case: str, tell: Tell
) -> None:
    """The same with goose's lease, which the next run may have to see expire."""
    trial = Trial(
        port=roomy.port,
        directory=directories["loose"],
        environ={"MIGRATOR_LOCK": "table", "MIGRATOR_LOCK_WAIT": "60s"},
    )

    summary, faults = disturbed(hands, trial, UNDER_A_LEASE[case])

    tell(f"loose, under a lease, {case}: {summary}")
    assert faults == []


def disturbed(hands: TrialPool, trial: Trial, case: Case) -> tuple[str, list[str]]:
    """What was tried, in words, and what was wrong: each message that was counted."""
    (undisturbed,) = hands.try_all([trial])
    trials = list(case.trials(undisturbed))

    outcomes = hands.try_all(trials)

    counts = undisturbed.counts.values()
    places = {(o.trial.direction, o.trial.message) for o in outcomes if o.fired}
    assert len(places) == sum(-(-count // case.every) for count in counts)
    codes = Counter(int(o.first.exit_code) for o in outcomes if o.first)
    exit_codes = ", ".join(
        f"{code}: {number}" for code, number in sorted(codes.items())
    )
    of = " + ".join(map(str, counts))
    faults = [f for o in (undisturbed, *outcomes) for f in o.faults(undisturbed.state)]
    return f"{len(trials)} of {of} messages, exit codes {exit_codes}", faults
