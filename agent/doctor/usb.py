"""The modems on their USB controllers: endpoints, power, ports, and what the kernel has said about it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import AS_ROOT, Finding, Findings, failure, hint, listed, number, ok, unknown, warning

ENDPOINTS_OF_CONTROLLER = 96
ENDPOINTS_OF_MODEM = 14
FIT = ENDPOINTS_OF_CONTROLLER // ENDPOINTS_OF_MODEM
SEEN_TO_FIT = 3
"""On some controllers the fourth modem did not."""
SERIAL_PORTS_LEAST = 3
"""AT primary is the third."""
RECENT_SECONDS = 24 * 3600.0

TOPOLOGY = "see docs/usb-topology.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbModem:
    """A modem on the bus; None: the kernel does not show it."""

    slot: str
    controller: str
    """The host controller's device, such as a PCI address."""
    controller_driver: str | None
    power_control: str | None
    persist: str | None
    authorised: bool | None
    serial_ports: int
    has_qmi: bool
    link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLine:
    """A line of the kernel's log."""

    seconds_ago: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbFacts:
    """The modems, and the kernel's log; None: it may not be read."""

    modems: tuple[UsbModem, ...]
    log: tuple[KernelLine, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    id: str
    pattern: re.Pattern[str]
    text: str
    mend: str


TROUBLES = (
    _Trouble(
        id="usb.log_endpoints",
        pattern=re.compile(r"Not enough host controller resources|can't set config #\d+, error -(12|28)\b"),
        text="a USB controller has no endpoints left for another modem",
        mend=f"put modems on another controller ({TOPOLOGY}), then replug",
    ),
    _Trouble(
        id="usb.log_bandwidth",
        pattern=re.compile(r"Not enough bandwidth"),
        text="a USB controller has no bandwidth left for another modem",
        mend=f"put modems on another controller ({TOPOLOGY}), then replug",
    ),
    _Trouble(
        id="usb.log_over_current",
        pattern=re.compile(r"over-current"),
        text="a USB port was switched off for over-current",
        mend="give the modems a hub with its own power supply, 1 A or more for each",
    ),
    _Trouble(
        id="usb.log_enumeration",
        pattern=re.compile(
            r"unable to enumerate USB device|device not accepting address|device descriptor read/.*error"
        ),
        text="a USB device did not answer when it was plugged in",
        mend="try another cable, another hub port, and a stronger power supply",
    ),
)


def judge_usb(facts: UsbFacts) -> Findings:
    """usb.modems, usb.endpoints, usb.ports, usb.power, and usb.log_… for each trouble in the kernel's log"""
    return (*_modems(facts.modems), *judge_kernel_log(facts.log))


def _modems(modems: tuple[UsbModem, ...]) -> Iterator[Finding]:
    if not modems:
        yield hint(
            "usb.modems",
            "no modem is on the bus",
            "look at lsusb; a modem with another vendor:product goes into modem.usb_ids",
        )
        return
    controllers = Counter(modem.controller for modem in modems)
    yield ok("usb.modems", f"{number(len(modems), 'modem')} on {number(len(controllers), 'USB controller')}")
    yield from _endpoints(modems)
    yield from _ports(modems)
    yield _power(modems)


def _endpoints(modems: tuple[UsbModem, ...]) -> Iterator[Finding]:
    slots: dict[str, list[str]] = defaultdict(list)
    for modem in modems:
        # Only xHCI has a table of endpoints; EHCI and the kernel's virtual controller have none.
        if modem.controller_driver is None or modem.controller_driver.startswith("xhci"):
            slots[modem.controller].append(modem.slot)
    crowded = {controller: found for controller, found in slots.items() if len(found) > SEEN_TO_FIT}
    for controller, found in sorted(crowded.items()):
        text = (
            f"{len(found)} modems on the controller {controller} take about {len(found) * ENDPOINTS_OF_MODEM} "
            f"endpoints; {ENDPOINTS_OF_CONTROLLER} or fewer are usual"
        )
        if len(found) > FIT:
            yield warning("usb.endpoints", text, f"spread them over more controllers: {TOPOLOGY}")
        else:
            yield hint("usb.endpoints", text, f"should a modem stay without ports, move it: {TOPOLOGY}")
    if not crowded:
        yield ok("usb.endpoints", "no controller has more modems than its endpoints surely allow")


def _ports(modems: tuple[UsbModem, ...]) -> Iterator[Finding]:
    refused = [modem.slot for modem in modems if modem.authorised is False]
    if refused:
        yield failure(
            "usb.authorised",
            f"the modems in {listed(refused)} are not authorised: they have no ports",
            f"echo 1 > /sys/bus/usb/devices/{refused[0]}/authorized",
        )
    bare = [modem for modem in modems if modem.authorised is not False]
    serial = [modem.slot for modem in bare if modem.serial_ports < SERIAL_PORTS_LEAST]
    qmi = [modem.slot for modem in bare if not modem.has_qmi]
    if serial:
        yield failure(
            "usb.ports",
            f"serial ports are missing in {listed(serial)}",
            f"modprobe option; then dmesg | grep 'usb {serial[0]}' tells why (endpoints, a composition without AT)",
        )
    if qmi:
        yield failure(
            "usb.ports",
            f"the QMI port is missing in {listed(qmi)}",
            "modprobe qmi_wwan; a modem in another composition is put right by the agent by its AT port, if it has one",
        )
    if not (refused or serial or qmi):
        yield ok("usb.ports", "every modem has its serial ports and its QMI port")


def _power(modems: tuple[UsbModem, ...]) -> Finding:
    asleep = [modem.slot for modem in modems if modem.power_control not in ("on", None)]
    kept = [modem.slot for modem in modems if modem.persist not in ("0", None)]
    if asleep:
        return warning("usb.power", f"autosuspend is on for the modems in {listed(asleep)}", TRIGGER)
    if kept:
        return hint("usb.power", f"power/persist is on for the modems in {listed(kept)}", TRIGGER)
    return ok("usb.power", "the modems are kept awake")


TRIGGER = "udevadm control --reload && udevadm trigger --action=change --attr-match=idVendor=2c7c"


def judge_kernel_log(lines: tuple[KernelLine, ...] | None) -> Findings:
    """One finding for each trouble that the log knows, or one that there is none."""
    if lines is None:
        return (
            unknown("usb.log", "the kernel's log may not be read here", f"{AS_ROOT}; in a container: look on its host"),
        )
    found = tuple(finding for trouble in TROUBLES if (finding := _trouble(trouble, lines)) is not None)
    return found or (ok("usb.log", "the kernel's log shows no trouble with USB"),)


def _trouble(trouble: _Trouble, lines: tuple[KernelLine, ...]) -> Finding | None:
    matching = [line for line in lines if trouble.pattern.search(line.text)]
    if not matching:
        return None
    last = matching[-1]
    times = "once" if len(matching) == 1 else f"{len(matching)} times"
    when = f", last {_ago(last.seconds_ago)}" if last.seconds_ago is not None else ""
    text = f"{trouble.text} ({times}{when}: {last.text.strip()[:100]!r})"
    if last.seconds_ago is not None and last.seconds_ago > RECENT_SECONDS:
        return hint(trouble.id, text, trouble.mend)
    return warning(trouble.id, text, trouble.mend)


def _ago(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{number(int(seconds // size), unit)} ago"
    return "just now"
