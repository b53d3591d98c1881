"""Whether the machine's clock is kept right."""

from __future__ import annotations

from agent.doctor.findings import Findings, ok, unknown, warning


def judge_clock(synchronised: bool | None) -> Findings:
    """clock.synchronised; None: the kernel may not be asked (some containers)."""
    name = "clock.synchronised"
    if synchronised is None:
        return (unknown(name, "whether the clock is synchronised: the kernel may not be asked here", "timedatectl"),)
    if synchronised:
        return (ok(name, "the clock is synchronised"),)
    return (
        warning(
            name,
            "the clock is not synchronised: logs, token expiry and statistics drift",
            "apt install systemd-timesyncd && timedatectl set-ntp true (or chrony)",
        ),
    )
