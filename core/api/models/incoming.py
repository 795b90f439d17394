"""What all that comes in has in common."""

from pydantic import BaseModel, ConfigDict


class Incoming(BaseModel):
    """What a caller sends: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
