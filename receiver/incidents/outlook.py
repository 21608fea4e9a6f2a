"""When an impact becomes major if its users go on growing as they do. Such times wobble: what of them is news is said here, too."""

from datetime import datetime, timedelta

from receiver.catalogue import Service
from receiver.law.counting import Affected
from receiver.law.forecast import Forecast, Trend, forecast
from receiver.law.rulebook import Rulebook
from receiver.law.verdict import Circumstances
from receiver.model import Conclusion

FARTHEST = timedelta(hours=6)
"""Half an hour of growth tells nothing of later. Ours, as is what is news."""
_NEWS = timedelta(minutes=5)
_SHARE_OF_TIME_LEFT = 10
"""A tenth."""


def outlook(
    service: Service,
    rulebook: Rulebook,
    affected: Affected,
    circumstances: Circumstances,
    trend: Trend | None,
    started_at: datetime,
    now: datetime,
) -> Forecast | None:
    """What is foretold on the trend of an impact that goes on; None where that makes it major no sooner than time alone does, or
    not soon.

    Nobody knows how users grow who are not measured now.
    """
    known = affected.count
    if trend is None or known is None or affected.problem:
        return None
    least, most, under = affected.at_least, affected.at_most, affected.bound
    found = forecast(service.facts, rulebook, started_at, now, least, most, circumstances, trend=trend, all_users=under)
    reached = found.major
    if reached is None or reached.on_trend is None or reached.on_trend - now > FARTHEST:
        return None
    return None if reached.if_users_stay and reached.if_users_stay <= reached.on_trend else found


def moved(new: Conclusion, previous: Conclusion) -> bool:
    """Whether the time on the trend is another one, by more than five minutes and a tenth of the time left."""
    was, is_ = previous.major_on_trend_at, new.major_on_trend_at
    if was is None or is_ is None:
        return was != is_
    return abs(is_ - was) > max(_NEWS, (was - new.assessed_at) / _SHARE_OF_TIME_LEFT)
