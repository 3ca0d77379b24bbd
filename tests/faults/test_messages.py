"""At every message of a run its connection fails, and the next run converges."""

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.faults.conftest import Tell
from tests.faults.crew import Crew
from tests.faults.proxy import Afterwards, Direction, Fault
from tests.faults.server import Server
from tests.faults.trial import Outcome, Trial
from tests.faults.work import KINDS


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


STALLED = Case(Fault.STALL, deadline_s=1.0)
CASES = {
    "cut": Case(Fault.CUT),
    "stalled": STALLED,
    "cut for good": Case(Fault.CUT, Afterwards.REFUSE, every=11),
    "stalled for good": Case(
        Fault.STALL, Afterwards.MUTE, signum=signal.SIGTERM, every=15
    ),
    "reset": Case(Fault.RESET, every=11),
    "dropped": Case(Fault.DROP, every=7),
    "work session ended": Case(Fault.ACT, session=1, every=9),
    "lock session ended": Case(Fault.ACT, session=2, every=9),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_message(
    hands: Crew,
    roomy: Server,
    directories: dict[str, Path],
    both_ways: str,
    kind: str,
    case: str,
    tell: Tell,
) -> None:
    """The first run tells the truth in time, and the second one finishes its work."""
    (undisturbed,) = hands.try_all([_trial(roomy, directories[kind], both_ways)])
    trials = list(CASES[case].trials(undisturbed))
    wanted = undisturbed.state

    outcomes = hands.try_all(trials)

    codes = Counter(o.first.exit_code.real for o in outcomes if o.first)
    tell(
        f"{kind}, pipeline={both_ways}, {case}: {_told(undisturbed, trials)}, {_sorted(codes)}"
    )
    assert undisturbed.faults(wanted) == []
    assert [fault for outcome in outcomes for fault in outcome.faults(wanted)] == []
    assert len({(t.direction, t.message) for t in trials}) == sum(
        -(-count // CASES[case].every) for count in undisturbed.counts.values()
    )


def _trial(server: Server, directory: Path, both_ways: str) -> Trial:
    pipeline = {"MIGRATOR_PIPELINE": str(both_ways == "on").lower()}
    return Trial(port=server.port, directory=directory, environ=pipeline)


def _told(undisturbed: Outcome, trials: list[Trial]) -> str:
    there, back = (undisturbed.counts[direction] for direction in Direction)
    return f"{len(trials)} of {there} + {back} messages"


def _sorted(codes: Counter[int]) -> str:
    return "exit codes " + ", ".join(f"{c}: {n}" for c, n in sorted(codes.items()))
