"""The base of everything that goes to a browser."""

from pydantic import BaseModel, ConfigDict


class Shown(BaseModel):
    """An immutable value that every browser can read: NaN, which JSON does not know, is null."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")
