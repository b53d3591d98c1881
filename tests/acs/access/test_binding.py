"""Which device a sender may speak for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.access.binding import SUBJECT_MOST, certificate_covers, common_name, credential_covers
from agent.acs.access.credentials import make_credential
from agent.acs.identity import DeviceIdentity

DEVICE = DeviceIdentity(oui="00AB12", product_class="AX 5400", serial_number="S-1")


def test_a_credential_without_a_device_is_good_for_any() -> None:
    assert credential_covers(make_credential("cpe", "lastmile", "x"), DEVICE)


def test_a_bound_credential_is_good_for_its_device_alone() -> None:
    bound = make_credential("cpe", "lastmile", "x", DEVICE.device_id)
    assert credential_covers(bound, DEVICE)
    for other in (
        DeviceIdentity(oui="00AB12", product_class="AX 5400", serial_number="S-2"),
        DeviceIdentity(oui="00AB13", product_class="AX 5400", serial_number="S-1"),
        DeviceIdentity(oui="00AB12", product_class="", serial_number="S-1"),
        DeviceIdentity(oui="00AB12", product_class="AX 5400-S", serial_number="1"),
    ):
        assert not credential_covers(bound, other)


@pytest.mark.parametrize(
    "subject",
    [
        "CN=S-1",
        "CN=00AB12-S-1,O=Acme",
        "O=Acme, CN=00AB12-AX%205400-S%2D1",
        "/C=DE/O=Acme/CN=S-1",
        "2.5.4.3=S-1,O=Acme",
        r"O=Acme\, Inc.,cn = S-1",
        'O="Acme, Inc.",CN="S-1"',
        r"CN=S\2D1",
        "C=DE;CN=S-1",
        "OU=x+CN=S-1,O=Acme",
    ],
)
def test_a_certificate_names_its_device(subject: str) -> None:
    assert certificate_covers(subject, DEVICE)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "S-1",
        "CN=",
        "CN=S-2",
        "CN=s-1",
        "CN=00AB13-S-1",
        "SERIALNUMBER=S-1",
        "O=S-1",
        "CNX=S-1",
        pytest.param("CN=S-1,CN=S-2", id="two names"),
        pytest.param("CN=S-2,CN=S-1", id="two names, ours last"),
        pytest.param("CN=S-1+CN=S-2", id="two names in one RDN"),
        pytest.param(r"O=x\,CN=S-1", id="an organisation with a comma"),
        pytest.param(r"O=x\,CN=S-1,C=DE", id="an organisation with a comma, and a country"),
        pytest.param('O="x,CN=S-1,y",C=DE', id="a quoted organisation"),
        pytest.param(r"O=x\2CCN=S-1", id="a comma as a number"),
        pytest.param('O="x,CN=S-1', id="a quotation mark that is not closed"),
        pytest.param("O=x,CN=S-1\\", id="nothing behind a backslash"),
        pytest.param("/CN=S-1/2", id="a slash in the name"),
        pytest.param("/O=a/b/CN=S-1", id="a slash before the name"),
        pytest.param("/CN=S-2/CN=S-1", id="two names with slashes"),
        pytest.param("CN=S-1,O=" + "x" * SUBJECT_MOST, id="too long"),
        pytest.param("CN=S-1,O=".ljust(SUBJECT_MOST, "x"), id="perhaps cut off"),
    ],
)
def test_a_certificate_of_another_or_in_doubt_does_not(subject: str) -> None:
    assert not certificate_covers(subject, DEVICE)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=64), st.text(max_size=40))
def test_a_name_comes_back_however_it_is_escaped(name: str, organisation: str) -> None:
    escaped = "".join(f"\\{char}" if char in ',+"\\<>;=#' else char for char in name)
    assert common_name(f"CN={escaped},O=Acme") == name.strip()
    hexadecimal = "".join(f"\\{byte:02X}" for byte in organisation.encode())
    assert common_name(f"O={hexadecimal},CN={escaped}") == name.strip()


@given(st.text(alphabet=st.sampled_from('CNO=,+;\\"/ 2Cé\x00')))
def test_no_subject_makes_it_stumble(subject: str) -> None:
    assert common_name(subject) is None or "=" in subject
