"""What is shown of uploads, and the form that they come in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from app.api.times import moment
from app.uploads.draft import SUFFIXES

FILE: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": f"the file; its name must end in {', '.join(SUFFIXES)}",
    "examples": ["id,text\n1,a red fox\n2,a grey wolf\n"],
}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": FILE},
                }
            }
        },
    }
}


class Upload(BaseModel):
    """A file that the team has sent."""

    id: str = Field(description="its id", examples=["upl_01kb0000000000000000000000"])
    filename: str = Field(
        description="its name, without a path; letters that a file's name should not have are `_`",
        examples=["captions.jsonl"],
    )
    bytes: int = Field(description="how long it is", examples=[48213])
    sha256: str = Field(
        description="of its bytes", examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    )
    created_at: datetime = Field(description="when it came", examples=["2026-11-24T12:00:00Z"])

    @classmethod
    def of(cls, row: RowMapping) -> Upload:
        """Returns what is shown of a row."""
        return cls.model_validate({**row, "created_at": moment(row["created_at"])})
