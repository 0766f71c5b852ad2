"""Page: the state of the service, in plain HTML, with links to the rest."""

from __future__ import annotations

from html import escape
from importlib import metadata

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app.api.state import AppState
from app.api.system import readiness

router = APIRouter(include_in_schema=False)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Accord</title></head>
<body>
<h1>Accord {version}</h1>
<p>Measures how alike two neural networks represent the world.</p>
<p>State: <strong>{state}</strong></p>
<ul>
<li>database: {database}</li>
<li>queue: {queue}</li>
<li>live workers: {workers}</li>
</ul>
<ul>
<li><a href="docs">the API, to read and try</a></li>
<li><a href="openapi.json">its OpenAPI document</a></li>
<li><a href="v1/metrics">the metrics</a></li>
<li><a href="readyz">readiness</a>, <a href="healthz">liveness</a>, <a href="metrics">figures for Prometheus</a></li>
</ul>
</body>
</html>
"""


@router.get("/")
def page(state: AppState) -> HTMLResponse:
    """Shows whether the service can work, and where the rest is."""
    now = readiness(state)
    shown = {
        "version": metadata.version("accord"),
        "state": "ready" if now.ready else "not ready",
        "database": now.database,
        "queue": now.queue,
        "workers": str(now.workers),
    }
    return HTMLResponse(_PAGE.format(**{name: escape(value) for name, value in shown.items()}), headers=_HEADERS)
