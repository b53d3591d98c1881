"""How long an emulated modem takes for everything, and how its carrier treats it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Times of one kind of modem. Real ones differ by firmware and weather; see the profiles below."""

    boot_seconds: float
    """From power to `RDY`; the AT ports are silent before."""
    qmi_seconds: float
    """From `RDY` to the first QMI answer."""
    sim_seconds: float
    """From `RDY` to `+QIND: SMS DONE`."""
    register_seconds: float
    """From radio on, with a usable SIM, to registered."""
    operator_seconds: float
    """How long `+COPS: 0` has no name after that."""
    connect_seconds: float
    """What `start network` takes."""
    reboot_seconds: float
    """How long the modem is off the bus for `AT+CFUN=1,1`."""
    detach_seconds: float
    """Away from the network for less than this, the carrier gives the same address again."""
    jitter: float = 0.2
    """Share by which one modem's times differ from another's."""
    at_chunk_bytes: int = 0
    """Most bytes the AT port gives at once; 0: whole answers."""
    client_ids: int = 16
    """QMI client ids of one service."""
    scan_seconds: float = 0
    """What a search for networks takes."""
    ipv6: bool = True
    """Whether the carrier gives IPv6 sessions; else `pdn-ipv6-call-disallowed`."""


DEMO = Profile(
    boot_seconds=2.0,
    qmi_seconds=0.5,
    sim_seconds=1.0,
    register_seconds=1.5,
    operator_seconds=1.0,
    connect_seconds=0.3,
    reboot_seconds=2.0,
    detach_seconds=3.0,
    scan_seconds=2.0,
)
INSTANT = Profile(
    boot_seconds=0,
    qmi_seconds=0,
    sim_seconds=0,
    register_seconds=0,
    operator_seconds=0,
    connect_seconds=0,
    reboot_seconds=0.2,
    detach_seconds=0.5,
    jitter=0,
)
HARDWARE = Profile(
    boot_seconds=14,
    qmi_seconds=3,
    sim_seconds=5,
    register_seconds=4,
    operator_seconds=4,
    connect_seconds=0.8,
    reboot_seconds=22,
    detach_seconds=4,
    scan_seconds=40,
)
PROFILES = {"demo": DEMO, "instant": INSTANT, "hardware": HARDWARE}


def profile_named(name: str) -> Profile:
    """The profile of that name; ConfigError when there is none."""
    if name not in PROFILES:
        raise ConfigError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
