"""ask(): one question to the Hugging Face hub; every way that it may go wrong is one clear error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from alignment.errors import HubUnreachableError, RequestError

T = TypeVar("T")
_INSTEAD = {
    "model": "where there is no network, copy the model's folder here and name it path:DIR",
    "data set": "try again when it can be, or give its files yourself",
}


def ask(
    question: Callable[[], T],
    *,
    kind: str,
    name: str,
    revision: str | None,
    error: type[RequestError],
    no_revision: type[RequestError] | None = None,
    public: bool = False,
) -> T:
    """Returns the answer to a question put to the hub, or raises why there is none.

    Args:
        question: asks it.
        kind: what is asked for: `model` or `data set`.
        name: its id on the hub.
        revision: the revision asked for.
        error: what is raised for an answer that is a refusal.
        no_revision: what is raised if there is no such revision, if not that.
        public: whether only what is public is asked for, and no login helps.

    Raises:
        HubUnreachableError: if there is no answer; it may pass.
    """
    from huggingface_hub import errors

    where = f"hf:{name}" + (f"@{revision}" if revision else "")
    try:
        return question()
    except errors.GatedRepoError as cause:
        if public:
            raise error(f"{where} is gated, and only what is public is read here; give its files yourself") from cause
        raise error(
            f"{where} is gated: accept its terms on the hub and log in with `hf auth login`, or use a local copy"
            + " with path:DIR" * (kind == "model")
        ) from cause
    except errors.RevisionNotFoundError as cause:
        raise (no_revision or error)(
            f"{where}: the {kind} has no revision {revision!r}; name a branch, tag or commit"
        ) from cause
    except errors.RepositoryNotFoundError as cause:
        login = "" if public else ", or log in with `hf auth login`"
        raise error(f"the hub has no {kind} {name!r}, or it is private: check the name{login}") from cause
    except errors.HFValidationError as cause:
        raise error(f"{name!r} is not a {kind}'s name on the hub; write hf:ORG/NAME") from cause
    except errors.OfflineModeIsEnabled as cause:
        raise HubUnreachableError(
            f"{where} is not in the local cache, and HF_HUB_OFFLINE has the hub not asked: unset it; {_INSTEAD[kind]}"
        ) from cause
    except (_http_error(), errors.EntryNotFoundError, ConnectionError, TimeoutError) as cause:
        raise HubUnreachableError(
            f"{where} cannot be reached ({type(cause).__name__}) and is not in the local cache; {_INSTEAD[kind]}"
        ) from cause
    except OSError as cause:
        raise error(f"{where} cannot be kept in the cache ({cause}); name a folder that can be written") from cause


def _http_error() -> Any:
    """Returns the base of the transport's errors, which huggingface_hub took from httpx and later from httpx2."""
    from huggingface_hub import errors

    return errors.HfHubHTTPError.__mro__[1]
