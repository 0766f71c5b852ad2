"""Docs: the API to read and try, in a browser that need not reach anything but this service."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

router = APIRouter(prefix="/docs", include_in_schema=False)
described = APIRouter(include_in_schema=False)
# Swagger UI, as fastapi-offline packs it.
_FILES = Path(str(resources.files("fastapi_offline"))) / "static"
_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Accord: the API</title>
<link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<noscript><p>Without scripts: <a href="openapi.json">the OpenAPI document</a>.</p></noscript>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout", validatorUrl: null
});
"""


@described.get("/openapi.json")
def document(request: Request) -> JSONResponse:
    """The OpenAPI document, which the first request for it makes."""
    return JSONResponse(request.app.openapi())


@router.get("")
def page() -> HTMLResponse:
    """Shows the OpenAPI document."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get("/start.js")
def start() -> Response:
    """Begins to show it."""
    return Response(_START, media_type="text/javascript")


@router.get("/{name}")
def file(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> FileResponse:
    """A file that the page needs; it changes with the release alone."""
    return FileResponse(_FILES / name, media_type=_TYPES[name], headers={"Cache-Control": "public, max-age=3600"})
