"""The JSON of the API about who may: operators, tokens, sessions, and what they did."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from agent.store.rows import PrincipalKind, Role


class Shown(BaseModel):
    """What is given out; made from a row by its attributes."""

    model_config = ConfigDict(from_attributes=True)


class ShownScope(Shown):
    """What of the fleet somebody may see; null: all."""

    hosts: tuple[str, ...] | None = Field(description="Hosts whose modems they see; null: all.")
    tags: tuple[str, ...] | None = Field(description="They see devices that have one of these tags; null: all.")


class Me(Shown):
    """Who asks."""

    name: str
    kind: PrincipalKind
    role: Role
    scope: ShownScope
    csrf_token: str = Field(description="What a change with this session's cookie must carry; empty for a token.")
