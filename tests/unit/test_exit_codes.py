"""Errors and exit codes hang together."""

import signal

import pytest

from migrator import errors
from migrator.exit_codes import MEANINGS, PERMANENT, RETRYABLE, ExitCode, exit_code


def leaves(kind: type[errors.MigratorError]) -> list[type[errors.MigratorError]]:
    """Every error class below *kind*."""
    found = list(kind.__subclasses__())
    return [*found, *(leaf for child in found for leaf in leaves(child))]


def test_every_code_has_a_meaning() -> None:
    """None is left out of the table that the README shows."""
    assert list(MEANINGS) == list(ExitCode)


def test_every_error_has_a_code() -> None:
    """No error that we raise on purpose ends as an internal error."""
    shapes = [kind.__new__(kind) for kind in leaves(errors.MigratorError)]
    for shape in shapes:
        if isinstance(shape, errors.InterruptedRunError):
            shape.signum = signal.SIGTERM

    homeless = {type(s).__name__ for s in shapes if exit_code(s) is ExitCode.INTERNAL}

    # open_connection's own, which Database.connect always turns into another; and what
    # only its subclasses are raised of
    assert homeless <= {"ConnectFailedError", "SubstitutionError", "StoppedRunError"}


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_signals_have_the_shells_codes(signum: int, code: int) -> None:
    """128 and the signal's number."""
    error = errors.InterruptedRunError(signum, name="X")

    assert exit_code(error) == code


def test_success_and_bugs() -> None:
    """No error is 0; what nobody foresaw is 1."""
    assert (exit_code(None), exit_code(KeyError("x"))) == (0, 1)


def test_permanent_and_retryable_exclude_each_other() -> None:
    """What a Job may retry, and what it must not; 0, 1 and 3 are neither."""
    assert sorted(PERMANENT) == [2, 10, 11, 12, 13, 14, 15]
    assert sorted(RETRYABLE) == [20, 21, 22, 23, 24, 130, 143]
