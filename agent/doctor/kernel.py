"""Whether this kernel can drive the modems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, failure, hint, listed, ok, unknown

DRIVERS = ("usbserial", "option", "cdc_wdm", "qmi_wwan")
"""The serial ports' core and driver, the QMI port's, the link's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """Names of modules are written with `_`."""

    release: str
    has_usb: bool
    """Whether the USB bus is registered."""
    loaded: frozenset[str]
    loadable: frozenset[str] | None
    """Built in or to be loaded; None: this kernel's modules are not on this machine."""
    blocked: Mapping[str, str]
    """module → the file of modprobe.d(5) that blacklists it or replaces its loading."""


def judge_kernel(facts: KernelFacts) -> Findings:
    """kernel.usb, kernel.modules, kernel.blocked"""
    return (_usb(facts), _modules(facts), _blocked(facts))


def _usb(facts: KernelFacts) -> Finding:
    if facts.has_usb:
        return ok("kernel.usb", f"Linux {facts.release} with USB")
    if "cloud" in facts.release:
        return failure("kernel.usb", f"the kernel {facts.release} has no USB: it is a cloud kernel", _OTHER_KERNEL)
    if facts.loadable is not None and "usbcore" in facts.loadable:
        return hint("kernel.usb", "USB is not in use: no controller was found", "lspci | grep -i usb")
    return failure(
        "kernel.usb",
        f"Linux {facts.release} shows no USB (a container, or built without it)",
        f"in a container: look on its host; else: {_OTHER_KERNEL}",
    )


_OTHER_KERNEL = (
    "apt install linux-image-amd64 (arm64: linux-image-arm64; Ubuntu: linux-generic), "
    "remove any cloud kernel, then reboot"
)


def _modules(facts: KernelFacts) -> Finding:
    missing = [name for name in DRIVERS if name not in facts.loaded and name not in (facts.loadable or ())]
    if not missing:
        waiting = [name for name in DRIVERS if name not in facts.loaded]
        more = f"; {listed(waiting)} built in, or loaded with the first modem" if waiting else ""
        return ok("kernel.modules", f"{listed(DRIVERS)} are there{more}")
    if facts.loadable is None:
        return unknown(
            "kernel.modules",
            f"whether {listed(missing)} can be loaded: there is no /lib/modules/{facts.release}",
            "after an upgrade of the kernel: reboot; in a container: look on its host",
        )
    if "cloud" in facts.release:
        return failure("kernel.modules", f"this cloud kernel lacks {listed(missing)}", _OTHER_KERNEL)
    return failure(
        "kernel.modules",
        f"this kernel lacks {listed(missing)}: the modems get no ports",
        f"Ubuntu: apt install linux-modules-extra-{facts.release}; Debian: {_OTHER_KERNEL}",
    )


def _blocked(facts: KernelFacts) -> Finding:
    blocked = {name: facts.blocked[name] for name in DRIVERS if name in facts.blocked}
    if not blocked:
        return ok("kernel.blocked", "no configuration keeps the drivers from being loaded")
    name, file = next(iter(blocked.items()))
    return failure(
        "kernel.blocked",
        f"{listed(blocked)} may not be loaded: {listed(dict.fromkeys(blocked.values()))} says so",
        f"take the line out of {file}, then: modprobe {name}",
    )
