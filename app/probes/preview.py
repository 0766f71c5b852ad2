"""Preview: a probe set's first items, small enough to show, kept beside the uploads by the set's own hash."""

from __future__ import annotations

import base64
import io
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from PIL import Image

from alignment.errors import ProbeError
from alignment.probes import ImageItem, ProbeSet
from app.probes.schemas import Preview, PreviewItem, View

MOST = 50  # items that are kept to be shown
_TEXT, _VALUES, _SIDE = 1000, 8, 96


def make(probe: ProbeSet) -> Preview:
    """Returns the beginning of a probe set."""
    return Preview(items=[_item(probe, row) for row in range(min(MOST, len(probe)))])


def keep(data_dir: Path, sha256: str, preview: Preview) -> None:
    """Keeps a preview, whole or not at all; two at once keep the same."""
    path = _path(data_dir, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(preview.model_dump_json())
    Path(draft).replace(path)


def kept(data_dir: Path, sha256: str) -> Preview | None:
    """Returns the preview that was kept; None if there is none."""
    try:
        return Preview.model_validate_json(_path(data_dir, sha256).read_bytes())
    except FileNotFoundError:
        return None


def forget(data_dir: Path, seconds: float) -> int:
    """Deletes previews that were made so long ago; returns how many. One that is asked for again is made anew."""
    gone = 0
    for path in _path(data_dir, "").parent.glob("*"):
        with suppress(FileNotFoundError):  # another worker was faster
            if path.stat().st_mtime < time.time() - seconds:
                path.unlink()
                gone += 1
    return gone


def _path(data_dir: Path, sha256: str) -> Path:
    return data_dir.absolute() / "previews" / f"{sha256}.json"


def _item(probe: ProbeSet, row: int) -> PreviewItem:
    return PreviewItem(
        id=probe.ids[row],
        text=None if probe.texts is None else probe.texts[row][:_TEXT],
        image=None if probe.images is None else _thumbnail(probe.images[row]),
        target=None if probe.targets is None else probe.targets[row],
        vectors={
            view: View(width=values.shape[1], values=values[row, :_VALUES].tolist())
            for view, values in probe.vectors.items()
        },
    )


def _thumbnail(item: ImageItem) -> str | None:
    try:
        picture = item.open()
    except ProbeError:  # of a set whose images were not all looked at when it was registered
        return None
    drawn = max(picture.size) <= _SIDE
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    form = "PNG" if drawn else "JPEG"
    picture.save(buffer, form, **({} if drawn else {"quality": 80}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
