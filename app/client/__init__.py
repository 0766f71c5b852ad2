"""Client: a running service, asked from Python or the command line. It imports no torch."""

from app.client.client import Client, ServiceError

__all__ = ["Client", "ServiceError"]
