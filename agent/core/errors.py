"""The errors a caller may treat differently; everything else is a bug (docs/architecture.md, "When things break")."""


class AgentError(Exception):
    """Root of every error that this product raises on purpose."""


class ConfigError(AgentError):
    """The operator must edit something: exit status 78 (EX_CONFIG), and no restart by systemd."""


class TransientError(AgentError):
    """Back off and try again: a port lost, a deadline passed, the database unreachable."""


class DeadlineExceeded(TransientError):
    """A wait ended before its answer came."""


class DeviceError(AgentError):
    """The device answered "no"; asking again at once will not help."""


class CmeError(DeviceError):
    """`+CME ERROR` or a bare `ERROR` from a modem (3GPP TS 27.007 §9.2)."""

    def __init__(self, command: str, code: int | None, text: str) -> None:
        super().__init__(f"{command}: {text}" + (f" (CME {code})" if code is not None else ""))
        self.command = command
        self.code = code
        self.text = text


class CmsError(DeviceError):
    """`+CMS ERROR` from a modem (3GPP TS 27.005 §3.2.5)."""

    def __init__(self, command: str, code: int | None, text: str) -> None:
        super().__init__(f"{command}: {text}" + (f" (CMS {code})" if code is not None else ""))
        self.command = command
        self.code = code
        self.text = text


class QmiError(DeviceError):
    """A QMI service refused a request; `name` is libqmi's word for it, such as `CallFailed` or `NoEffect`."""

    def __init__(self, name: str, *, code: int | None = None, reason: str | None = None) -> None:
        super().__init__(f"QMI {name}" + (f": {reason}" if reason else ""))
        self.name = name
        self.code = code
        self.reason = reason


class ProtocolError(AgentError):
    """Malformed bytes from the peer; `sample` is capped and holds no secret."""

    SAMPLE_LIMIT = 200

    def __init__(self, message: str, sample: bytes | str = b"") -> None:
        super().__init__(message)
        self.sample = sample[: self.SAMPLE_LIMIT]


class InvariantError(AgentError):
    """Our own bug: let it crash; systemd restarts, and the next pass converges."""
