"""Models of what is wrong with a request."""

from pydantic import BaseModel, Field


class ProblemIssue(BaseModel):
    """One thing that is wrong."""

    where: str = Field(examples=["body.kind"])
    message: str = Field(examples=["must be a lower-case letter, then at most 63 of a-z, 0-9 and _"])
    hint: str = Field("", examples=["did you mean 'like'?"])


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 writes it."""

    type: str = Field(examples=["/problems/validation"])
    title: str = Field(examples=["The request doesn't fit"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["body.kind must be a lower-case letter, then at most 63 of a-z, 0-9 and _"])
    instance: str = Field(examples=["/v1/interactions"])
    errors: list[ProblemIssue]
    id: str = Field("", description="For a 5xx: what to look for in the server's log.")
