"""Errors of a run that was stopped by a signal or by its deadline."""

from collections.abc import Callable

from migrator.errors.base import MigratorError


def _always() -> bool:
    return True


class StoppedRunError(MigratorError):
    """
    The run was asked to stop; the subclass says by what.

    The message states a rollback only if `answered` is true when it is formatted:
    without an answer of the server the outcome is unknown until the next run.
    """

    answered: Callable[[], bool] = staticmethod(_always)
    """Whether the server has answered every message sent so far."""

    def __init__(self, reason: str, *, link: str, done: str, remedy: str) -> None:
        self.reason = reason
        self._link, self._done, self._remedy = link, done, remedy
        super().__init__(reason)

    def __str__(self) -> str:
        done = self._done if self.answered() else _UNANSWERED
        message = f"{self.reason}{self._link}{done}; {self._remedy}"
        return f"{message}; {self.advice}" if self.advice else message


_UNANSWERED = (
    "the server did not answer, so its connections were closed: what was in flight is"
    " committed as a whole or not at all, and the next run detects which"
)


class DeadlineError(StoppedRunError):
    """MIGRATOR_DEADLINE passed; the run was cancelled and rolled back, or cut off."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        super().__init__(
            f"the run's deadline of {deadline_s:g} s passed",
            link=" and ",
            done="it was rolled back",
            remedy="re-run, or raise MIGRATOR_DEADLINE",
        )


class InterruptedRunError(StoppedRunError):
    """SIGINT or SIGTERM was received; the run was cancelled, or cut off."""

    def __init__(self, signum: int, *, name: str) -> None:
        self.signum = signum
        super().__init__(
            f"stopped by {name}",
            link=": ",
            done="rolled back and unlocked",
            remedy="re-run",
        )
