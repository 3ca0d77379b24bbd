"""The events about a running statement: progress and blockers."""

from migrator.events.watching import StatementBlocked, StatementProgressed
from migrator.pg.monitor.activity import SessionActivity
from migrator.pg.monitor.blockers import root_blocker
from migrator.pg.monitor.current_statement import RunningStatement


_HINT = "GRANT pg_read_all_stats TO {} shows what is hidden of other roles' sessions"


def blocker_text(sight: SessionActivity) -> str:
    """Return a description of the session at the root of the wait queue."""
    return str(root_blocker(sight.blockers))


def blocked_event(
    running: RunningStatement, elapsed_s: float, sight: SessionActivity, *, hinted: bool
) -> StatementBlocked:
    """Return the `statement.blocked` event; *hinted* omits the hint."""
    hidden = any(each.hidden for each in sight.blockers)
    progress, place, wait = sight.progress, running.place, sight.wait
    return StatementBlocked(
        version=place.version,
        path=place.path,
        line=place.line,
        statement=place.statement,
        elapsed_s=round(elapsed_s, 3),
        waited_s=wait.waited_s,
        lock=wait.lock,
        relation=wait.relation or (progress.relation if progress else None),
        phase=progress.phase if progress else None,
        blockers=tuple(each._asdict() for each in sight.blockers),
        hint=_HINT.format(sight.role) if hidden and not hinted else None,
    )


def progressed_event(
    running: RunningStatement,
    elapsed_s: float,
    sight: SessionActivity,
    rate_per_s: float | None,
) -> StatementProgressed:
    """Return the `statement.progressed` event."""
    progress, place = sight.progress, running.place
    left_s = None
    if progress and progress.total and rate_per_s and rate_per_s > 0:
        left_s = max(0, progress.total - (progress.done or 0)) / rate_per_s
    return StatementProgressed(
        version=place.version,
        path=place.path,
        line=place.line,
        statement=place.statement,
        elapsed_s=round(elapsed_s, 3),
        command=progress.command if progress else None,
        relation=progress.relation if progress else None,
        phase=progress.phase if progress else None,
        percent=progress.percent if progress else None,
        done=progress.done if progress else None,
        total=progress.total if progress else None,
        unit=progress.unit if progress else None,
        rate_per_s=None if rate_per_s is None else round(rate_per_s, 1),
        left_s=None if left_s is None else round(left_s, 1),
        state=sight.state,
        wait_event=sight.wait_event,
    )
