"""qmicli's output, beyond what the transcripts show."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.modem.model import AccessTechnology, DataSession, Registration, RegistrationState, Signal, SimState
from agent.modem.qmi.card import parse_card_status
from agent.modem.qmi.device import parse_imei, parse_operating_mode, parse_revision
from agent.modem.qmi.failures import FailureKind, call_end_reason, parse_failure
from agent.modem.qmi.network import parse_serving_system, parse_signal_info
from agent.modem.qmi.sessions import (
    parse_connection_status,
    parse_kept_client_id,
    parse_packet_statistics,
    parse_started_session,
)
from agent.modem.qmi.settings import parse_current_settings
from tests.modem.at.transcripts import text

WARNINGS = "[21 Nov 2026, 04:54:16] -Warning ** [/dev/pts/0] couldn't detect transport type of port: unexpected\n"
STARTED = "[/dev/cdc-wdm0] Network started\n\tPacket data handle: '2264423824'\n"
KEPT = "[/dev/cdc-wdm0] Client ID not released:\n\tService: 'wds'\n\t    CID: '20'\n"


def test_a_session_that_started() -> None:
    assert parse_started_session(WARNINGS + STARTED + KEPT) == DataSession(client_id=20, packet_data_handle=2264423824)
    for missing in (STARTED, KEPT, ""):
        with pytest.raises(ProtocolError):
            parse_started_session(missing)


def test_a_kept_client_id_is_of_its_service() -> None:
    assert parse_kept_client_id(KEPT) == 20
    assert parse_kept_client_id(KEPT.replace("wds", "nas")) is None
    assert parse_kept_client_id(KEPT.replace("wds", "nas") + KEPT.replace("20", "7")) == 7


def test_settings_of_ipv6_quoted_or_not() -> None:
    plain = """[/dev/cdc-wdm0] Current settings retrieved:
           IP Family: IPv6
        IPv6 address: 2001:db8:1:2:3:4:5:6/64
IPv6 gateway address: 2001:db8:1:2::1/64
    IPv6 primary DNS: 2001:4860:4860::8888
  IPv6 secondary DNS: 2001:4860:4860::8888
                 MTU: 1428
"""
    quoted = "\n".join(
        f"{line.partition(': ')[0]}: '{line.partition(': ')[2]}'" if ": " in line else line
        for line in plain.splitlines()
    )
    for shape in (plain, quoted):
        found = parse_current_settings(shape)
        assert found.ipv4 is None
        assert found.ipv6 is not None
        assert found.ipv6.interface == IPv6Interface("2001:db8:1:2:3:4:5:6/64")
        assert found.ipv6.gateway == ip_address("2001:db8:1:2::1")
        assert found.ipv6.nameservers == (ip_address("2001:4860:4860::8888"),)
        assert found.ipv6.mtu == 1428


@pytest.mark.parametrize(("mask", "prefix"), [("255.255.255.252", 30), ("255.255.255.255", 32), ("255.0.0.0", 8)])
def test_masks_become_prefixes(mask: str, prefix: int) -> None:
    found = parse_current_settings(f"IPv4 address: 10.0.0.2\nIPv4 subnet mask: {mask}\nMTU: 0\n")
    assert found.ipv4 is not None
    assert found.ipv4.interface == IPv4Interface(f"10.0.0.2/{prefix}")
    assert (found.ipv4.gateway, found.ipv4.nameservers, found.ipv4.mtu) == (None, (), None)


def test_settings_that_are_none_or_malformed() -> None:
    assert parse_current_settings("IPv4 address: 0.0.0.0\n").ipv4 is None
    assert parse_current_settings("").ipv4 is None
    for malformed in ("10.0.0.256", "10.0.0.1\nIPv4 subnet mask: 255.0.255.0", "10.0.0.1\nIPv4 primary DNS: x"):
        with pytest.raises(ProtocolError):
            parse_current_settings(f"IPv4 address: {malformed}\n")


def test_statistics_are_bytes_of_this_session() -> None:
    shown = """[/dev/cdc-wdm0] Connection statistics:
	TX packets OK: 12
	RX packets OK: 15
	TX bytes OK: 3210
	RX bytes OK: 18446744073709551615
	TX bytes OK (last): 1
"""
    found = parse_packet_statistics(shown)
    assert (found.rx_bytes, found.tx_bytes) == (18446744073709551615, 3210)
    with pytest.raises(ProtocolError):
        parse_packet_statistics("TX bytes OK (last): 1\n")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (8, "operator determined barring"),
        (26, "the network has no resources"),
        (27, "unknown APN"),
        (29, "authentication failed"),
        (33, "the SIM is not subscribed to this service"),
        (55, "several connections to one APN are not allowed"),
    ],
)
def test_reasons_that_an_operator_can_act_on(code: int, words: str) -> None:
    shown = f"call end reason (1): (null)\nverbose call end reason (6,{code}): [3gpp] (null)\n"
    assert call_end_reason(shown) == f"{words} (3gpp {code})"


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ("call end reason (3): generic-no-service\n", "generic-no-service (3)"),
        ("call end reason (1033): (null)\n", "reason 1033"),
        ("verbose call end reason (2,8): [internal] (null)\n", "internal 8"),
        ("verbose call end reason (77,8): [(null)] (null)\n", "type 77 8"),
        ("nothing\n", None),
    ],
)
def test_reasons_without_words(shown: str, reason: str | None) -> None:
    assert call_end_reason(shown) == reason


@pytest.mark.parametrize(
    ("shown", "kind", "name", "code"),
    [
        ("error: couldn't stop network: QMI protocol error (26): 'NoEffect'\n", FailureKind.REFUSED, "NoEffect", 26),
        ("error: couldn't get it: QMI protocol error (15): '(null)'\n", FailureKind.REFUSED, "OutOfCall", 15),
        ("error: x: QMI protocol error (999): '(null)'\n", FailureKind.REFUSED, "error 999", 999),
        ("error: couldn't open the QmiDevice: endpoint hangup\n", FailureKind.HANGUP, "", None),
        (
            "[24 Dec 2025, 01:06:40] -Warning ** Error reading from istream: Resource temporarily unavailable\n"
            "error: operation failed: endpoint hangup\nerror: couldn't release client: Transaction timed out\n",
            FailureKind.HANGUP,
            "",
            None,
        ),
        ("error: couldn't open the QmiDevice: Transaction timed out\n", FailureKind.TIMEOUT, "", None),
        ("error: couldn't create QmiDevice: No such file or directory\n", FailureKind.UNAVAILABLE, "", None),
        ("", FailureKind.UNAVAILABLE, "", None),
    ],
)
def test_failures_are_told_apart(shown: str, kind: FailureKind, name: str, code: int | None) -> None:
    failure = parse_failure(shown)
    assert (failure.kind, failure.name, failure.code) == (kind, name, code)
    assert failure.message


def test_cards_by_both_ways_of_counting() -> None:
    old = text("72").replace("Slot [1]", "Card [0]").replace("slot '1', application '1'", "slot '0', application '0'")
    old = old.replace("Application [1]", "Application [0]")
    assert parse_card_status(old).state is SimState.READY


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        ("'ready'\n\t\tApplication ID", "'pin1-or-upin-pin-required'\n\t\tApplication ID", SimState.PIN_REQUIRED),
        ("'ready'\n\t\tApplication ID", "'puk1-or-upin-puk-required'\n\t\tApplication ID", SimState.PUK_REQUIRED),
        ("'ready'\n\t\tApplication ID", "'pin1-blocked'\n\t\tApplication ID", SimState.FAILURE),
        ("'ready'\n\t\tApplication ID", "'detected'\n\t\tApplication ID", SimState.BUSY),
        ("Card state: 'present'", "Card state: 'absent'", SimState.ABSENT),
        ("Card state: 'present'", "Card state: 'error: no-atr-received (3)'", SimState.FAILURE),
        ("slot '1', application '1'", "session doesn't exist", SimState.READY),
    ],
)
def test_states_of_a_card(old: str, new: str, state: SimState) -> None:
    assert old in text("72")
    assert parse_card_status(text("72").replace(old, new)).state is state


def test_a_card_locked_to_a_network() -> None:
    locked = (
        text("72")
        .replace("Application state: 'ready'", "Application state: 'check-personalization-state'")
        .replace("Personalization state: 'ready'", "Personalization state: 'code-required' (feature: gw-network)")
    )
    assert parse_card_status(locked).state is SimState.LOCKED_TO_NETWORK


def test_the_card_that_is_provisioned_counts() -> None:
    two = text("72") + "Slot [2]:\n\tCard state: 'absent'\n"
    assert parse_card_status(two).state is SimState.READY
    swapped = (
        text("72")
        .replace("Slot [1]:", "Slot [1]:\n\tCard state: 'absent'\nSlot [2]:")
        .replace("slot '1', application", "slot '2', application")
    )
    assert parse_card_status(swapped).state is SimState.READY


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("'registered'", "'registration-denied'", (RegistrationState.DENIED,) * 3),
        ("'registered'", "'not-registered-searching'", (RegistrationState.SEARCHING,) * 3),
        ("'registered'", "'not-registered'", (RegistrationState.IDLE,) * 3),
        (
            "\tCurrent PLMN:",
            "\tRoaming status: 'on'\n\tCurrent PLMN:",
            (RegistrationState.IDLE, RegistrationState.ROAMING, RegistrationState.ROAMING),
        ),
        (
            "\t\t[0]: 'lte'",
            "\t\t[0]: 'umts'",
            (RegistrationState.IDLE, RegistrationState.HOME, RegistrationState.UNKNOWN),
        ),
    ],
)
def test_serving_systems(old: str, new: str, expected: tuple[RegistrationState, ...]) -> None:
    found = parse_serving_system(text("74").replace(old, new))
    assert (found.cs, found.ps, found.eps) == expected


def test_a_serving_system_of_few_words() -> None:
    assert parse_serving_system("\tRegistration state: 'not-registered'\n") == Registration(
        cs=RegistrationState.IDLE,
        ps=RegistrationState.IDLE,
        eps=RegistrationState.UNKNOWN,
        access_technology=AccessTechnology.UNKNOWN,
    )
    with pytest.raises(ProtocolError):
        parse_serving_system("")


def test_signals_of_other_technologies() -> None:
    assert parse_signal_info("WCDMA:\n\tRSSI: '-71 dBm'\n\tECIO: '-3.5 dBm'\n") == Signal(rssi_dbm=-71)
    assert parse_signal_info("GSM:\n\tRSSI: '-80 dBm'\n") == Signal(rssi_dbm=-80)
    assert parse_signal_info("LTE:\n\tRSRP: 'n/a'\n\tSNR: '-3.2 dB'\n") == Signal(sinr_db=-3.2)
    assert parse_signal_info("[/dev/cdc-wdm0] Successfully got signal info\n") == Signal()


def test_ids() -> None:
    shown = "[/dev/cdc-wdm0] Device IDs retrieved:\n\t    ESN: '0'\n\t   IMEI: '{}'\n\t   MEID: 'unknown'\n"
    assert parse_imei(shown.format("860000000000017")) == "860000000000017"
    assert parse_imei(shown.format("0")) is None
    assert parse_imei(shown.format("unknown")) is None
    assert parse_imei("") is None
    with pytest.raises(ProtocolError):
        parse_imei(shown.format("86"))


PARSERS: list[Callable[[str], object]] = [
    parse_current_settings,
    parse_started_session,
    parse_kept_client_id,
    parse_connection_status,
    parse_packet_statistics,
    parse_failure,
    parse_card_status,
    parse_serving_system,
    parse_signal_info,
    parse_imei,
    parse_operating_mode,
    parse_revision,
]
HEADS = st.sampled_from(
    [
        "IPv4 address:",
        "IPv6 address:",
        "IPv4 subnet mask:",
        "MTU:",
        "Slot [1]:",
        "Card state:",
        "Application [1]:",
        "IMEI:",
        "LTE:",
        "\tRSSI:",
        "Radio interfaces:",
        "[0]:",
        "RX bytes OK:",
        "TX bytes OK:",
        "Registration state:",
        "error:",
        "Primary GW: slot '1', application '9'",
        "QMI protocol error (14): ",
        "verbose call end reason (6,27): [3gpp] ",
    ]
)


@given(st.sampled_from(PARSERS), st.lists(st.tuples(HEADS, st.text(max_size=20)), max_size=8))
def test_garbage_raises_nothing_but_a_protocol_error(
    parse: Callable[[str], object], parts: list[tuple[str, str]]
) -> None:
    with contextlib.suppress(ProtocolError):
        parse("\n".join(f"{head} {rest}" for head, rest in parts))
