"""Which cause is judged of an outage: the one that a person named, else what a plan makes of it; and what may be stated. Pure."""

from datetime import datetime

from receiver.incidents.facts import Refused
from receiver.law.causes import Kind
from receiver.law.wording import clock_time
from receiver.model import Deed, Incident, Planned
from receiver.stated import Stated

_BY_PLAN: tuple[Kind | None, ...] = (None, "planned_work_within_plan", "planned_work_overrun")


def judged_cause(
    stated: Stated, started_at: datetime, restored_at: datetime | None, now: datetime
) -> tuple[Kind | None, datetime | None]:
    """The kind of cause that is judged, and where a plan decides on it, the end of the plan. `restored_at` None: it goes on.

    A cause that was named stands until a person names another. Planned work is within its plan while all of the outage is; what
    begins before it, or goes on at its end, is an overrun. A plan of another time says nothing of this outage.
    """
    plan = stated.planned
    if plan is None or stated.cause not in _BY_PLAN or not _meets(plan, started_at, restored_at or now):
        return stated.cause, None
    in_time = restored_at <= plan.until if restored_at else now < plan.until
    within = in_time and plan.since <= started_at
    return "planned_work_within_plan" if within else "planned_work_overrun", plan.until


def check_stands(deed: Deed, incident: Incident) -> None:
    """Raises Refused where a fact would be stated of what is no accident any more, or a plan that is of another time.

    A plan that is still to come is kept: the outage may last until then.
    """
    if incident.dismissed:
        raise Refused(
            f"{incident.id} was dismissed as a false alarm. Reopen it first",
            f"{incident.id}は誤報として取り下げられています。先に再開してください",
        )
    if isinstance(deed, Planned) and not _meets(deed, incident.failure_started_at, incident.restored_at or deed.until):
        plan = f"{clock_time(deed.since)} - {clock_time(deed.until)}"
        since = clock_time(incident.failure_started_at)
        ended_at = clock_time(incident.restored_at) if incident.restored_at else ""
        lasts = f"from {since} to {ended_at}" if ended_at else f"since {since}"
        raise Refused(
            f"the plan ({plan}) does not meet the outage ({lasts}). Correct the plan, or state the times of the outage first",
            f"計画（{plan}）は障害（{since} - {ended_at}）と重なりません。計画を訂正するか、先に障害の時刻を申告してください",
        )


def _meets(plan: Planned, started_at: datetime, ended_at: datetime) -> bool:
    return started_at < plan.until and plan.since <= ended_at
