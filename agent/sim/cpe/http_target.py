"""An HTTP URL taken apart, and an answer as a value."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from agent.core.errors import ConfigError

_SAFE = "!$%&'()*+,/:;=?@[]~"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes; `path` has the query in it."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """ConfigError for what is no http or https URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"no URL: {url!r}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigError(f"no http URL: {url!r}")
        path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.path}"

    def redirected(self, location: str) -> Target:
        """The target of a Location header, which may be relative."""
        return Target.parse(urljoin(self.url, location))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response that came in full."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    """At most as much of it as was wanted."""
    length: int
    """Of the whole body as it came."""

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name.lower()]
