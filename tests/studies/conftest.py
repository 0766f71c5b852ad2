"""The models and the probe set that comparisons are tried on."""

from tests.comparisons.conftest import Registered, register, registered

__all__ = ["Registered", "register", "registered"]
