"""tower_config(): the shape of the towers that the recipe `transformer` trains, of either modality and task."""

from __future__ import annotations

from alignment.entropic.emoji_groups import GROUPS
from alignment.entropic.emoji_pairs import ALPHABET
from alignment.models import TowerConfig
from alignment.models.tower import LETTERS

# A is narrower than B; each may be a tower of either modality.
WIDTHS = {"a": 32, "b": 40}
_HEADS, _BLOCKS, _SIDE, _PATCH, _LENGTH = 4, 2, 32, 8, 24


def tower_config(member: str, modality: str, *, masked: bool = False) -> TowerConfig:
    """Returns the shape of a member's tower.

    Args:
        member: `a` or `b`.
        modality: `image` or `text`.
        masked: whether it learns what is hidden of its items, and not their groups.
    """
    width = WIDTHS[member]
    if modality == "image":
        outputs = 3 * _PATCH**2 if masked else len(GROUPS)
        return TowerConfig("image", width, _HEADS, _BLOCKS, outputs, side=_SIDE, patch=_PATCH, masked=masked)
    outputs = LETTERS + len(ALPHABET) if masked else len(GROUPS)
    return TowerConfig("text", width, _HEADS, _BLOCKS, outputs, alphabet=ALPHABET, length=_LENGTH, masked=masked)
