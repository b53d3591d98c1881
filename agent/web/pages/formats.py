"""Values as people read them: pure, and the same in every template."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from markupsafe import Markup, escape

_PREFIXES = ("", "k", "M", "G", "T", "P")
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"


def quantity(value: float | None, unit: str, digits: int = 1) -> str:
    """A number and its unit with a decimal prefix (`1.5 MB`); a dash for None."""
    if value is None:
        return NOTHING
    step = 0
    while abs(value) >= 999.5 and step < len(_PREFIXES) - 1:
        value, step = value / 1000, step + 1
    shown = f"{value:.{digits if step and abs(value) < 100 else 0}f}"
    return f"{shown}{THIN_SPACE}{_PREFIXES[step]}{unit}"


def size(value: float | None) -> str:
    """Bytes."""
    return quantity(value, "B")


def measured(value: float | None, unit: str, digits: int = 0) -> str:
    """A measurement and its unit, as it is; a dash for None."""
    return NOTHING if value is None else f"{value:.{digits}f}{THIN_SPACE}{unit}".replace("-", "\N{MINUS SIGN}")


def count(value: int) -> str:
    """A whole number, its thousands apart."""
    return f"{value:,}".replace(",", THIN_SPACE)


def counted(value: int, singular: str, plural: str = "") -> str:
    """`1 modem`, `3 modems`."""
    return f"{count(value)} {singular if value == 1 else plural or f'{singular}s'}"


def duration(value: float | timedelta | None) -> str:
    """How long, in its two largest units: `3 d 4 h`, `12 min`, `8 s`; a dash for None."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 1:
        return f"{seconds * 1000:.0f}{THIN_SPACE}ms"
    if seconds < 60:
        return f"{seconds:.0f}{THIN_SPACE}s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if minutes < 60:
        return f"{minutes}{THIN_SPACE}min"
    if hours < 24:
        rest = minutes % 60
        return f"{hours}{THIN_SPACE}h" + (f" {rest}{THIN_SPACE}min" if rest else "")
    rest = hours % 24
    return f"{days}{THIN_SPACE}d" + (f" {rest}{THIN_SPACE}h" if rest and days < 10 else "")


def utc(value: datetime) -> str:
    """For the attribute `datetime` of a time element (HTML §4.5.14)."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def utc_text(value: datetime) -> str:
    """What a time element says without JavaScript."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def words(value: object) -> str:
    """A word of the code as people write it: `sim_blocked` is `SIM blocked`."""
    text = str(value).replace("_", " ")
    return text.replace("sim ", "SIM ") if text.startswith("sim ") else text


TECHNOLOGIES = {"lte": "LTE", "umts": "UMTS", "gsm": "GSM", "nr": "5G NR"}


def technology(value: str | None) -> str:
    """An access technology as its standard writes it; a dash when it is not known."""
    return NOTHING if value in (None, "unknown") else TECHNOLOGIES.get(str(value), str(value).upper())


def coded(text: str) -> Markup:
    """A sentence whose `parts in backticks` are shown as code."""
    parts = text.split("`")
    shown = (Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))
    return Markup().join(shown)


def segment(value: str) -> str:
    """One segment of a path; whatever is in it stays in it."""
    return quote(value, safe="")


def rsrp_level(value: float | None) -> int:
    """0 to 4 bars for an LTE signal: -115, -105, -95 and -85 dBm are the steps."""
    return 0 if value is None else sum(value >= step for step in (-115, -105, -95, -85))


FILTERS = {
    each.__name__: each
    for each in (
        quantity,
        size,
        measured,
        count,
        counted,
        duration,
        utc,
        utc_text,
        words,
        technology,
        coded,
        segment,
        rsrp_level,
    )
}
