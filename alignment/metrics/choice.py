"""MetricChoice: a metric with the parameters of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from alignment.errors import RequestError, UnknownNameError
from alignment.metrics.facts import Metric, Parameter
from alignment.metrics.table import METRICS, metric_named


@dataclass(frozen=True)
class MetricChoice:
    """A metric and all its parameters, each default filled in.

    Attributes:
        metric: the metric.
        values: its parameters.
    """

    metric: Metric
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any] | None = None) -> MetricChoice:
        """Returns the metric `name` with the parameters `given` and the others' defaults.

        Raises:
            UnknownNameError: if there is no such metric or parameter.
            RequestError: if a value is not one that the parameter takes.
        """
        metric, given = metric_named(name), given or {}
        names = [p.name for p in metric.parameters]
        for key in given:
            if key not in names:
                raise UnknownNameError(f"parameter of {name}", key, names)
        values = {p.name: _checked(name, p, given.get(p.name, p.default)) for p in metric.parameters}
        return cls(metric, MappingProxyType(values))

    @classmethod
    def parse(cls, text: str) -> MetricChoice:
        """Returns the choice that `NAME` or `NAME:key=value,key=value` spells.

        >>> MetricChoice.parse("cka:kernel=rbf").key
        'cka:kernel=rbf'
        >>> MetricChoice.parse("mutual_knn:k=10").key
        'mutual_knn'
        """
        name, colon, rest = text.partition(":")
        given = {}
        for part in rest.split(",") if colon else ():
            key, equals, value = part.partition("=")
            if not equals or not key or not value:
                raise RequestError(f"metric {text!r}: write its parameters as {name}:key=value,key=value")
            if key in given:
                raise RequestError(f"metric {text!r}: {key!r} is given twice")
            given[key] = value
        return cls.of(name, given)

    @property
    def key(self) -> str:
        """What the choice is called in a result: the name, and the parameters that are not at their default."""
        changed = [f"{name}={self.values[name]}" for name in self.changed]
        return self.metric.name + (f":{','.join(changed)}" if changed else "")

    @property
    def changed(self) -> tuple[str, ...]:
        """The parameters that are not at their default."""
        return tuple(p.name for p in self.metric.parameters if self.values[p.name] != p.default)

    @property
    def least_items(self) -> int:
        """The fewest items that it has a meaning for."""
        return self.metric.minimum_items(self.values)

    @property
    def demanding(self) -> bool:
        """Whether its parameters, and not the metric alone, decide how many items it takes."""
        return self.least_items != self.metric.minimum_items({p.name: p.default for p in self.metric.parameters})


def parse_metrics(wanted: Iterable[str | MetricChoice]) -> tuple[MetricChoice, ...]:
    """Returns the metrics wanted, in order; `all` is every one with its defaults.

    Raises:
        RequestError: if none is wanted, or one twice.
    """
    choices: list[MetricChoice] = []
    for want in wanted:
        if isinstance(want, MetricChoice):
            choices.append(want)
        elif want == "all":
            choices += [MetricChoice.of(name) for name in METRICS]
        else:
            choices.append(MetricChoice.parse(want))
    keys = [choice.key for choice in choices]
    if not keys:
        raise RequestError(f"name at least one metric: {', '.join(METRICS)}")
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise RequestError(f"a metric is named twice: {', '.join(twice)}")
    return tuple(choices)


def _checked(metric: str, parameter: Parameter, value: Any) -> int | float | str:
    """Returns a parameter's value in its type; text is read as a number where one is wanted."""
    wanted = type(parameter.default)
    article = {int: "a whole number", float: "a number", str: "text"}[wanted]
    refusal = RequestError(f"{metric}: {parameter.name} must be {_allowed(parameter, article)}, not {value!r}")
    if isinstance(value, bool) or (wanted is str and not isinstance(value, str)):
        raise refusal
    if wanted is int and isinstance(value, float):
        raise refusal
    try:
        read: int | float | str = wanted(value)
    except (TypeError, ValueError):
        raise refusal from None
    if parameter.choices and read not in parameter.choices:
        raise refusal
    if isinstance(read, int | float) and parameter.minimum is not None:
        low = read <= parameter.minimum if parameter.exclusive else read < parameter.minimum
        if low or not read < float("inf"):
            raise refusal
    return read


def _allowed(parameter: Parameter, article: str) -> str:
    if parameter.choices:
        return " or ".join(map(repr, parameter.choices))
    if parameter.minimum is None:
        return article
    return f"{article} {'above' if parameter.exclusive else 'of at least'} {parameter.minimum:g}"
