"""Jobs: what is asked for is kept, worked on at least once, and becomes visible exactly once.

It knows no comparison: what a kind of job does, and what its result changes, is handed in as a `Handler`.
"""

from app.jobs.chore import Chore
from app.jobs.engine import Engine
from app.jobs.handler import Context, Done, Handler, Handlers, Needs, Part
from app.jobs.ledger import Ledger, NewJob

__all__ = ["Chore", "Context", "Done", "Engine", "Handler", "Handlers", "Ledger", "Needs", "NewJob", "Part"]
