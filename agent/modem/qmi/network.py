"""The answers to `--nas-get-serving-system` and `--nas-get-signal-info`."""

from __future__ import annotations

import re

from agent.modem.model import AccessTechnology, Registration, RegistrationState, Signal
from agent.modem.qmi.output import Entry, entries, optional, required

_STATES = {
    "registered": RegistrationState.HOME,
    "not-registered": RegistrationState.IDLE,
    "not-registered-searching": RegistrationState.SEARCHING,
    "registration-denied": RegistrationState.DENIED,
}
_TECHNOLOGIES = {
    "lte": AccessTechnology.LTE,
    "umts": AccessTechnology.UMTS,
    "td-scdma": AccessTechnology.UMTS,
    "gsm": AccessTechnology.GSM,
    "5gnr": AccessTechnology.NR,
}
_SECTIONS = ("LTE", "5G", "WCDMA", "TD-SCDMA", "GSM")
_MEASUREMENT = re.compile(r"(-?[0-9]{1,4}(?:\.[0-9]{1,3})?)(?: dBm?)?")


def parse_serving_system(text: str) -> Registration:
    """Registration of each domain: a domain that is attached has the system's state, one that is not is IDLE.

    The EPS domain is the packet domain on LTE and later. Raises ProtocolError when there is no state.
    """
    state = _STATES.get(required(text, "Registration state"), RegistrationState.UNKNOWN)
    if state is RegistrationState.HOME and optional(text, "Roaming status") == "on":
        state = RegistrationState.ROAMING
    technology = _technology(entries(text))
    ps = _domain(state, optional(text, "PS"))
    eps = ps if technology in (AccessTechnology.LTE, AccessTechnology.NR) else RegistrationState.UNKNOWN
    description = optional(text, "Description")
    return Registration(
        cs=_domain(state, optional(text, "CS")),
        ps=ps,
        eps=eps,
        access_technology=technology,
        operator=description or None,
    )


def _domain(state: RegistrationState, attachment: str | None) -> RegistrationState:
    if not state.registered:
        return state
    return {"attached": state, "detached": RegistrationState.IDLE}.get(attachment or "", RegistrationState.UNKNOWN)


def _technology(found: tuple[Entry, ...]) -> AccessTechnology:
    """Of the first radio interface: the entries `[0]: 'lte'` after their count."""
    for position, entry in enumerate(found):
        if entry.key == "Radio interfaces":
            for interface in found[position + 1 :]:
                if interface.key != "[0]":
                    break
                return _TECHNOLOGIES.get(interface.value, AccessTechnology.UNKNOWN)
    return AccessTechnology.UNKNOWN


def parse_signal_info(text: str) -> Signal:
    """Measurements of LTE, else of 5G, WCDMA, TD-SCDMA or GSM; all None when there are none."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for entry in entries(text):
        if entry.indent == 0:
            current = sections.setdefault(entry.key, {})
            if entry.value:
                current["RSSI"] = entry.value  # older ones print GSM's level beside its name
        else:
            current[entry.key] = entry.value
    measured = next((sections[name] for name in _SECTIONS if name in sections), {})
    return Signal(
        rssi_dbm=_measurement(measured.get("RSSI")),
        rsrp_dbm=_measurement(measured.get("RSRP")),
        rsrq_db=_measurement(measured.get("RSRQ")),
        sinr_db=_measurement(measured.get("SNR")),
    )


def _measurement(text: str | None) -> float | None:
    found = _MEASUREMENT.fullmatch(text.strip()) if text else None
    return float(found[1]) if found else None
