"""What the first three defences share: how plans have always held them.

Not for new ones, which are a `Defence` of their own fields: see `defence.py`.
"""

from __future__ import annotations

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from gauntlet.pipeline.models.defences.defence import Defence

_ONE_TYPE = {"bits": 4, "quality": 75, "low": 0.9, "gradient": "straight-through"}


class OneOfThree(Defence):
    """Was once a kind of a type with the fields of all three; stored plans hold each with all.

    A unit of work is known by a hash of its plan. So it is written as ever, and what others read is
    passed over when it comes back; in a job file it is refused.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_others(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            return written
        others = _ONE_TYPE.keys() - cls.model_fields.keys()
        return {name: value for name, value in written.items() if name not in others}

    @model_serializer(mode="wrap")
    def _with_others(self, own: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"kind": self.kind, **_ONE_TYPE, **own(self)}
