"""Webhooks: who asked to be told is told, at least once, signed, and nowhere that the operator's network is its own."""

from app.webhooks.address import check_url
from app.webhooks.outbox import enqueue, settle
from app.webhooks.summary import summary

__all__ = ["check_url", "enqueue", "settle", "summary"]
