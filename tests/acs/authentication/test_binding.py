"""Which device a sender may speak for."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.authentication.binding import (
    Anybody,
    AnyDevice,
    Binding,
    OneDevice,
    User,
    may_speak_for,
    parse_pattern,
)
from agent.acs.authentication.certificates import HEADER_MOST, Certificate, parse_certificate
from agent.acs.identity import DeviceIdentity
from agent.core.errors import ConfigError, ProtocolError

ROUTER = DeviceIdentity(oui="00D09E", product_class="Home Router", serial_number="A-1")
OTHER = DeviceIdentity(oui="00D09E", product_class="Home Router", serial_number="A-2")


@pytest.mark.parametrize(
    ("username", "binding", "may"),
    [
        ("shared", AnyDevice(), True),
        ("whatever", OneDevice("00D09E-Home%20Router-A%2D1"), True),
        ("A-1", OneDevice("00D09E-Home%20Router-A%2D2"), False),
        ("A-1", parse_pattern("@SERIAL@"), True),
        ("00D09E-A-1", parse_pattern("@OUI@-@SERIAL@"), True),
        ("00D09E-Home%20Router-A%2D1", parse_pattern("@DEVICE_ID@"), True),
        ("cpe-A-1@isp.example", parse_pattern("cpe-@SERIAL@@isp.example"), True),
        ("a-1", parse_pattern("@SERIAL@"), False),
        ("A-1 ", parse_pattern("@SERIAL@"), False),
        ("00D09E-A-1", parse_pattern("@SERIAL@"), False),
        ("@SERIAL@", parse_pattern("@SERIAL@"), False),
    ],
)
def test_a_user_may_speak_for_the_devices_of_its_binding(username: str, binding: Binding, may: bool) -> None:
    assert may_speak_for(User(username, binding), ROUTER) is may


def test_a_device_cannot_call_itself_by_a_placeholder() -> None:
    odd = DeviceIdentity(oui="@OUI@", product_class="", serial_number="@OUI@")

    assert parse_pattern("@OUI@/@SERIAL@").name_of(odd) == "@OUI@/@OUI@"


_PARTS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(name=st.sampled_from(["@SERIAL@", "x-@SERIAL@-y", "@DEVICE_ID@"]), one=_PARTS, other=_PARTS)
def test_no_two_serial_numbers_have_one_user_name(name: str, one: str, other: str) -> None:
    pattern = parse_pattern(name)
    first = DeviceIdentity(oui="0", product_class="", serial_number=one)
    second = DeviceIdentity(oui="0", product_class="", serial_number=other)

    assert (pattern.name_of(first) == pattern.name_of(second)) == (one == other)


@pytest.mark.parametrize(
    "text", ["", "admin", "@OUI@", "@PRODUCT_CLASS@-@SERIAL@", "@SERIAL@@SERIAL@", "@serial@", "@SERIAL@" + "x" * 300]
)
def test_a_pattern_that_names_no_device_is_the_operators_mistake(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_pattern(text)


def test_where_nobody_needs_a_name_anybody_is_any_device() -> None:
    assert may_speak_for(Anybody(), ROUTER)


# Certificates


@pytest.mark.parametrize("name", ["A-1", "00D09E-A-1", "00D09E-Home%20Router-A%2D1"])
def test_a_certificate_is_that_of_the_device_that_it_names(name: str) -> None:
    assert may_speak_for(Certificate(names=frozenset({"x", name})), ROUTER)
    assert not may_speak_for(Certificate(names=frozenset({"x", name})), OTHER)


def test_a_certificate_without_a_name_is_nobodys() -> None:
    assert not may_speak_for(Certificate(names=frozenset()), ROUTER)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("CN=A-1", {"A-1"}),
        ("CN=A-1,O=Acme,C=DE", {"A-1"}),
        ("emailAddress=a@b.example,CN=A-1,OU=CPE+L=Berlin,O=Acme", {"A-1"}),
        ("C=DE, O=Acme, cn = A-1", {"A-1"}),
        ("C=DE;O=Acme;CN=A-1", {"A-1"}),
        ("OU=x+CN=A-1,O=y", {"A-1"}),
        ("2.5.4.3=A-1", {"A-1"}),
        ("OID.2.5.4.3=A-1", {"A-1"}),
        (r"CN=A\,1\+2\=3,O=x", {"A,1+2=3"}),
        (r"CN=\C3\84-1,O=x", {"Ä-1"}),
        (r"CN=a\2Cb\20", {"a,b "}),
        ("CN=A-1  ,O=x", {"A-1"}),
        (r"CN=A-1\ ,O=x", {"A-1 "}),
        (r'CN="A, 1",O="x, CN=A-1"', {"A, 1"}),
        (r"CN=\FF1,O=x", {r"\xff1"}),
        ("CN=#0C03412D31", set()),
        ("O=Acme,C=DE", set()),
        ("CN=", set()),
        ("CN=A-1,CN=A-2", set()),
        # Somebody's organisation is not somebody's name.
        (r"O=Acme\, CN=A-1,C=DE", set()),
        (r"CN=real,O=Acme\,CN=A-1", {"real"}),
        ("/C=DE/O=Acme/CN=A-1", {"A-1"}),
        ("/CN=A-1/emailAddress=a@b.example", {"A-1"}),
        ("/C=DE/O=Acme and/or Sons/CN=A-1", {"A-1"}),
        ("/CN=A-1/O=x/CN=A-2", set()),
        ("/O=Acme", set()),
        ("A-1", {"A-1"}),
        ("  A-1 ", {"A-1"}),
        ("", set()),
    ],
)
def test_the_name_in_a_subject_as_proxies_write_it(subject: str, names: set[str]) -> None:
    assert parse_certificate(subject).names == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("DNS:A-1", {"A-1"}),
        ("DNS:A-1, DNS:b.example, URI:urn:x:1", {"A-1", "b.example", "urn:x:1"}),
        ("IP Address:192.0.2.1, othername:<unsupported>, DNS:A-1", {"A-1"}),
        ("DNS=A-1;URI=spiffe://x/y", {"A-1", "spiffe://x/y"}),
        ("", set()),
        (", ,;", set()),
        ("garbage", set()),
    ],
)
def test_alternative_names(text: str, names: set[str]) -> None:
    assert parse_certificate("O=x", text).names == names


@pytest.mark.parametrize(
    "subject", ["CN=a,", "=x", "CN=a,b", 'CN="a', 'CN="a"b', "CN=a\\", ",CN=a", "CN=" + "a" * HEADER_MOST]
)
def test_a_subject_that_cannot_be_read_is_refused(subject: str) -> None:
    with pytest.raises(ProtocolError):
        parse_certificate(subject)


@given(st.text(max_size=100) | st.lists(st.sampled_from(list('CN=,;+"\\/ 2.a#')), max_size=60).map("".join), st.text())
def test_no_subject_raises_anything_else(subject: str, alternative_names: str) -> None:
    with contextlib.suppress(ProtocolError):
        parse_certificate(subject, alternative_names)


@given(st.text(st.characters(min_codepoint=32, codec="utf-8"), min_size=1, max_size=30))
def test_a_name_that_is_escaped_as_rfc_4514_wants_it_comes_back(name: str) -> None:
    escaped = "".join(chr(byte) if bytes([byte]).isalnum() else f"\\{byte:02X}" for byte in name.encode())

    assert parse_certificate(f"O=x,CN={escaped},C=y").names == {name}
