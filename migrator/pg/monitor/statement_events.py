"""The events about a running statement: progress and blockers."""

from migrator.domain.facts import Place
from migrator.events.watching import StatementBlocked, StatementProgressed
from migrator.pg.monitor.activity import SessionActivity


_HINT = "GRANT pg_read_all_stats TO {} shows what is hidden of other roles' sessions"


def blocked_event(
    place: Place, elapsed_s: float, activity: SessionActivity, *, with_hint: bool
) -> StatementBlocked:
    """Return the `statement.blocked` event; *with_hint* says how to see all fields."""
    hidden = any(each.hidden for each in activity.blockers)
    progress, wait = activity.progress, activity.wait
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
        blockers=tuple(each._asdict() for each in activity.blockers),
        hint=_HINT.format(activity.role) if hidden and with_hint else None,
    )


def progressed_event(
    place: Place,
    elapsed_s: float,
    activity: SessionActivity,
    rate_per_s: float | None = None,
) -> StatementProgressed:
    """Return the `statement.progressed` event."""
    progress = activity.progress
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
        state=activity.state,
        wait_event=activity.wait_event,
    )
