"""How a server is set up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server listens on and what it allows."""

    host: str = "127.0.0.1"
    port: int = 8080


DEFAULTS = Settings()
