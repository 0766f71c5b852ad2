"""The errors that Accord raises on purpose.

    AccordError
    ├── RequestError           what was asked cannot be done as asked; nothing was started
    │   ├── ReferenceError     a model or probe set is named in a way that has no meaning
    │   ├── UnknownNameError   no model, metric, layer or parameter of that name
    │   ├── ProbeError         a probe set that cannot be read, or lacks what is needed
    │   ├── ModelError         a model that cannot be loaded as asked
    │   ├── HubUnreachableError  the model hub gives no answer; it may pass
    │   ├── ActivationsError   a file of activations that cannot be used
    │   ├── MismatchError      two things that should describe the same items do not
    │   ├── TrainingError      a training, or a diagnostic of one, that cannot be done as asked
    │   └── OverBudgetError    a metric needs more memory than it may take
    └── WorkError              it was started and could not be finished
        ├── DivergenceError    a training whose loss is no longer a number
        ├── StoreFullError     there is no room for activations; it may pass
        └── CacheFullError     there is no room for a data set of the hub; it may pass

Every message is one sentence or two: what was wrong, what was received, what would work.
"""

import difflib
from collections.abc import Iterable

NEAR = 0.6  # of difflib's ratio: a name is guessed to be meant for another from here on; a wrong guess helps nobody


class AccordError(Exception):
    """Any error that Accord raises on purpose."""


class RequestError(AccordError):
    """What was asked cannot be done as asked."""


class ReferenceError(RequestError):
    """A model or probe reference that has no meaning."""


class UnknownNameError(RequestError):
    """A name that is not in its table.

    Attributes:
        kind: what sort of thing was named ("metric").
        name: the name as it was given.
        choices: the names that exist.
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        self.kind, self.name, self.choices = kind, name, tuple(choices)
        close = difflib.get_close_matches(name, self.choices, n=1, cutoff=NEAR)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from: {', '.join(self.choices) or '(none)'}"
        super().__init__(f"there is no {kind} {name!r}; {hint}")


class ProbeError(RequestError):
    """A probe set that cannot be read or lacks what is needed."""


class ModelError(RequestError):
    """A model that cannot be loaded as asked."""


class HubUnreachableError(RequestError):
    """A hub that gives no answer, of a model or data set that is not here."""


class ActivationsError(RequestError):
    """A file of activations that cannot be used."""


class MismatchError(RequestError):
    """Two things that should describe the same items do not."""


class TrainingError(RequestError):
    """A training, or a diagnostic of one, that cannot be done as asked."""


class OverBudgetError(RequestError):
    """A metric that needs more memory than it may take."""


class WorkError(AccordError):
    """Work that was started and could not be finished."""


class DivergenceError(WorkError):
    """A training whose loss is no longer a number."""


class StoreFullError(WorkError):
    """No room for activations in the store's folder."""


class CacheFullError(WorkError):
    """No room for a data set in the folder of downloads, for now."""
