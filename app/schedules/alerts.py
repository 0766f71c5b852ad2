"""Alerts: whether a score is on the wrong side, and whether that is news. Told once a crossing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alignment.errors import RequestError
from alignment.metrics import MetricChoice, parse_metrics
from app.problems import invalid

RULES = ("below", "above", "drop")


@dataclass(frozen=True)
class Verdict:
    """What a score means.

    Attributes:
        alerting: whether it is on the wrong side.
        news: whether the one before was not.
    """

    alerting: bool
    news: bool


def judge(alert: Mapping[str, Any], score: float, before: float | None, was_alerting: bool) -> Verdict:
    """Returns what a score means.

    Args:
        alert: the rule, one of `RULES` with its number.
        score: the score.
        before: that of the run before; None if there is none.
        was_alerting: whether the score before was on the wrong side.

    >>> judge({"below": 0.5}, 0.4, None, was_alerting=False)
    Verdict(alerting=True, news=True)
    >>> judge({"drop": 0.1}, 0.4, 0.45, was_alerting=False)
    Verdict(alerting=False, news=False)
    """
    if alert.get("below") is not None:
        wrong = score < alert["below"]
    elif alert.get("above") is not None:
        wrong = score > alert["above"]
    else:
        wrong = before is not None and before - score > alert["drop"]
    return Verdict(wrong, wrong and not was_alerting)


def key_of(metric: str, measured: Sequence[Mapping[str, Any]]) -> str:
    """Returns the key, in results, of the metric that an alert names.

    Args:
        metric: a metric's key or name.
        measured: the request's metrics, as `{"name", "params"}`.

    Raises:
        Problem: 422 if the request does not measure it, or it could be several.
    """
    choices = [MetricChoice.of(one["name"], one["params"]) for one in measured]
    keys = [choice.key for choice in choices]
    if metric in keys:
        return metric
    named = [choice.key for choice in choices if choice.metric.name == metric]
    try:
        named = named or [choice.key for choice in parse_metrics([metric]) if choice.key in keys]
    except RequestError:
        named = []
    if len(named) == 1:
        return named[0]
    problem = "could be several" if named else "is not measured"
    raise invalid("/alert/metric", f"the metric {metric!r} {problem}; take one of {', '.join(keys)}")
