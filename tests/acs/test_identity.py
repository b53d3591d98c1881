"""Device ids, as GenieACS has them."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.identity import DEVICE_ID_MOST, DeviceIdentity, parts_of
from agent.core.errors import ProtocolError
from tests.acs.soap import captures


def like_genieacs(oui: str, product_class: str, serial_number: str) -> str:
    """What GenieACS makes of a DeviceIdStruct: all but letters, digits and `_` is escaped, byte by byte."""

    def escape(text: str) -> str:
        return re.sub(r"[^A-Za-z0-9_]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)

    parts = (oui, product_class, serial_number) if product_class else (oui, serial_number)
    return "-".join(map(escape, parts))


def device_id(oui: str, product_class: str, serial_number: str) -> str:
    return DeviceIdentity.parse(oui=oui, product_class=product_class, serial_number=serial_number).device_id


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("202BC1", "BM632w", "000000"), "202BC1-BM632w-000000"),
        (("202BC1", "", "000000"), "202BC1-000000"),
        (("00147F", "SpeedTouch 780", "CP0611JTLNW"), "00147F-SpeedTouch%20780-CP0611JTLNW"),
        (("4C9EFF", "VMG8924-B10A", "S140Y24025829"), "4C9EFF-VMG8924%2DB10A-S140Y24025829"),
        (("a06518", "IAD_001", "a-b/c%d"), "a06518-IAD_001-a%2Db%2Fc%25d"),
        (("00259E", "Gerät", "家"), "00259E-Ger%C3%A4t-%E5%AE%B6"),
        ((" 00259E\n", "\tX ", " 1 "), "00259E-X-1"),
        (("ZTE", "X", "1"), "ZTE-X-1"),
        (("00259E", ".", "~!'()*"), "00259E-%2E-%7E%21%27%28%29%2A"),
    ],
)
def test_odd_identities_have_the_ids_that_genieacs_gives_them(parts: tuple[str, str, str], expected: str) -> None:
    assert device_id(*parts) == expected
    assert like_genieacs(*(part.strip() for part in parts)) == expected


@pytest.mark.parametrize("informed", captures.INFORMS.values(), ids=captures.INFORMS)
def test_captured_identities_are_told_apart_again(informed: captures.Informed) -> None:
    identity = informed.identity
    parts = (identity.oui, identity.product_class, identity.serial_number)
    assert identity.device_id == like_genieacs(*parts)
    assert parts_of(identity.device_id) == parts


_PARTS = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), max_size=20)


@given(st.from_regex(r"[0-9A-Za-z]{1,6}", fullmatch=True), _PARTS, _PARTS.filter(bool))
@example("00259E", "a-b", "c-d")
@example("00259E", "%2D", "%")
@example("00259E", "", "-")
def test_every_id_can_be_taken_apart_again(oui: str, product_class: str, serial_number: str) -> None:
    made = device_id(oui, product_class, serial_number)
    assert made == like_genieacs(oui, product_class, serial_number)
    assert made.isascii()
    assert parts_of(made) == (oui, product_class, serial_number)


@given(st.tuples(_PARTS, _PARTS), st.tuples(_PARTS, _PARTS))
def test_two_devices_never_have_one_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    if one[1] and other[1] and one != other:
        assert device_id("00259E", *one) != device_id("00259E", *other)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"oui": ""}, "no OUI"),
        ({"oui": "  "}, "no OUI"),
        ({"oui": "00-259"}, "no OUI"),
        ({"oui": "é"}, "no OUI"),
        ({"oui": "0025 9"}, "no OUI"),
        ({"oui": "00259E1"}, "OUI"),
        ({"serial_number": ""}, "no SerialNumber"),
        ({"serial_number": " \t\r\n"}, "no SerialNumber"),
        ({"serial_number": "1\n2"}, "SerialNumber"),
        ({"serial_number": "1\x002"}, "SerialNumber"),
        ({"serial_number": "1" * 65}, "SerialNumber"),
        ({"serial_number": "1\ud8002"}, "SerialNumber"),
        ({"product_class": "x\x7f"}, "ProductClass"),
        ({"product_class": "x" * 65}, "ProductClass"),
        ({"manufacturer": "x\x1b[31m"}, "Manufacturer"),
        ({"product_class": "家" * 64, "serial_number": "家" * 64}, "too long"),
    ],
)
def test_what_cannot_be_a_name_here_is_refused(changed: dict[str, str], why: str) -> None:
    parts = {"oui": "00259E", "product_class": "X", "serial_number": "1", "manufacturer": "Acme", **changed}
    with pytest.raises(ProtocolError, match=why):
        DeviceIdentity.parse(**parts)


@given(*[st.text(st.characters(exclude_categories=()), max_size=70)] * 4)
@example("00259E", "家" * 50, "1", "")
def test_an_identity_is_fit_for_the_database_or_refused(oui: str, product_class: str, serial: str, maker: str) -> None:
    with contextlib.suppress(ProtocolError):
        made = DeviceIdentity.parse(oui=oui, product_class=product_class, serial_number=serial, manufacturer=maker)
        assert 3 <= len(made.device_id) <= DEVICE_ID_MOST
        assert all("\x00" not in text for text in (made.product_class, made.serial_number, made.manufacturer))


@pytest.mark.parametrize("text", ["", "-", "--", "a", "a-b-c-d", "-b", "a-", "a--c", "-b-c", "a-b-"])
def test_what_is_no_device_id_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="not a device id"):
        parts_of(text)
