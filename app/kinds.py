"""Kinds: every kind of job that there is, what else its end changes, and what workers do beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.api.once import forget as forget_answers
from app.jobs import Chore, Handler, Handlers, Ledger
from app.jobs.retention import forget as forget_jobs
from app.jobs.settling import chain
from app.models.retention import forget as forget_models
from app.probes.preview import forget as forget_previews
from app.probes.retention import forget as forget_probes
from app.schedules import settle as settle_run
from app.schedules.chores import chores as schedule_chores
from app.scoring.chores import chores as store_chores
from app.scoring.settle import count, settle, told
from app.settings import Settings
from app.storage import Database
from app.teams.retention import forget as forget_notes
from app.trainings.retention import clear as clear_trainings
from app.trainings.settle import settle as settle_training
from app.uploads.retention import clear as clear_uploads
from app.uploads.retention import forget as forget_uploads
from app.webhooks import settle as settle_webhook
from app.webhooks.chores import chores as webhook_chores

_HOUR = 3600.0
_DAY = 24 * _HOUR


def handlers() -> Handlers:
    """Returns the kinds of job by name."""
    # The first names models in an error, which the next tell; the counters' few rows, which all want, come last.
    asked = chain(settle, settle_run, settle_webhook, count)
    made: tuple[Handler, ...] = (
        Handler("comparison", "app.comparisons.work:compare", asked, told=told),
        Handler("study", "app.studies.work:study", asked, told=told),
        Handler("training", "app.trainings.work:train_pair", chain(settle_training, settle_webhook, count)),
        Handler("extraction", "app.scoring.work:extract", count, keeps_result=False),
    )
    return {handler.kind: handler for handler in made}


def chores(settings: Settings, database: Database) -> Callable[[Ledger], Sequence[Chore]]:
    """Returns what makes the chores of a worker, given its ledger."""

    def made(ledger: Ledger) -> Sequence[Chore]:
        kept = settings.retention_days * _DAY
        return (
            *schedule_chores(settings, database, ledger),
            *webhook_chores(settings, database),
            *store_chores(settings),
            Chore("forget jobs", _HOUR, lambda: forget_jobs(database, kept)),
            Chore("forget models", _HOUR, lambda: forget_models(database, kept)),
            Chore("forget probe sets", _HOUR, lambda: forget_probes(database, kept)),
            Chore("forget answers", _HOUR, lambda: forget_answers(database)),
            Chore("forget notes", _HOUR, lambda: forget_notes(database, settings.audit_days * _DAY)),
            Chore("forget uploads", _HOUR, lambda: forget_uploads(settings, database, kept)),
            Chore("forget previews", _HOUR, lambda: forget_previews(settings.data_dir, kept)),
            Chore("clear trainings", 60.0, lambda: clear_trainings(settings, database)),
            Chore("clear uploads", _HOUR, lambda: clear_uploads(settings, database)),
        )

    return made
