"""Every message that we can send is one of the official schemas' messages, in every version that has its RPC."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from lxml import etree

from agent.acs.soap import messages as soap
from agent.acs.soap.encode import encode
from agent.acs.soap.versions import CwmpVersion
from tests.acs.soap.examples import MESSAGES
from tests.acs.soap.schema import RPC_SCHEMAS, methods, schema

ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
RPCS = [message for message in MESSAGES if not isinstance(message, soap.Fault | soap.UnknownRPC)]
FAULTS = [message for message in MESSAGES if isinstance(message, soap.Fault)]


def parts(envelope: soap.Envelope) -> tuple[list[etree._Element], etree._Element]:
    """The header's elements and the body of what is sent."""
    root = etree.fromstring(encode(envelope))
    header = root.find(f"{ENVELOPE}Header")
    body = root.find(f"{ENVELOPE}Body")
    assert body is not None
    return [] if header is None else list(header), body


def check(version: str, element: etree._Element) -> None:
    # Alone, with the namespaces that were around it.
    alone = etree.fromstring(etree.tostring(element))
    rules = schema(version)
    assert rules.validate(alone), f"cwmp-{version}: {rules.error_log}"


def test_there_is_an_example_of_every_message() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(soap.Message))


@pytest.mark.parametrize("version", ["1-2", "1-3", "1-4"])
def test_there_is_a_message_for_every_rpc_of_the_schemas(version: str) -> None:
    assert methods(version) == {type(message).__name__ for message in RPCS}


@pytest.mark.parametrize(("namespace", "versions"), RPC_SCHEMAS.items())
@pytest.mark.parametrize("message", RPCS, ids=lambda message: type(message).__name__)
def test_the_body_is_valid(namespace: str, versions: tuple[str, ...], message: soap.Message) -> None:
    _, body = parts(soap.Envelope(message=message, version=CwmpVersion(namespace)))

    assert body[0].tag == f"{{{namespace}}}{type(message).__name__}"
    for version in versions:
        if type(message).__name__ in methods(version):
            check(version, body[0])


@pytest.mark.parametrize("version", [CwmpVersion.V1_3, CwmpVersion.V1_4])
def test_a_namespace_of_the_wild_changes_nothing_but_itself(version: CwmpVersion) -> None:
    for message in MESSAGES:
        by_the_book = encode(soap.Envelope(message=message, id="1", version=CwmpVersion.V1_2))

        assert encode(soap.Envelope(message=message, id="1", version=version)) == by_the_book.replace(
            b"urn:dslforum-org:cwmp-1-2", version.value.encode()
        )


@pytest.mark.parametrize(("namespace", "versions"), RPC_SCHEMAS.items())
@pytest.mark.parametrize("fault", FAULTS)
def test_the_detail_of_a_fault_is_valid(namespace: str, versions: tuple[str, ...], fault: soap.Fault) -> None:
    _, body = parts(soap.Envelope(message=fault, version=CwmpVersion(namespace)))

    assert body[0].tag == f"{ENVELOPE}Fault"
    assert [child.tag for child in body[0]] == ["faultcode", "faultstring", "detail"]
    assert (body[0][0].text, body[0][1].text) == (fault.soap_code.value, "CWMP fault")
    for version in versions:
        check(version, body[0][2][0])


def test_the_header_is_valid() -> None:
    header, _ = parts(
        soap.Envelope(
            message=None,
            id="<1 & 2>",
            version=CwmpVersion.V1_2,
            hold_requests=True,
            session_timeout=60,
            supported_versions=("1.0", "1.2", "1.4"),
            use_version="1.2",
        )
    )

    assert [(etree.QName(each).localname, each.text, each.get(f"{ENVELOPE}mustUnderstand")) for each in header] == [
        ("ID", "<1 & 2>", "1"),
        ("HoldRequests", "1", "1"),
        ("SessionTimeout", "60", "0"),
        ("SupportedCWMPVersions", "1.0,1.2,1.4", "0"),
        ("UseCWMPVersion", "1.2", "1"),
    ]
    for element in header:
        check("1-4", element)


def test_an_array_counts_what_is_in_it() -> None:
    for message in MESSAGES:
        _, body = parts(soap.Envelope(message=message))
        for element in body.iter():
            array_type = element.get("{http://schemas.xmlsoap.org/soap/encoding/}arrayType")
            if array_type is not None:
                count = re.search(r"\[(\d+)\]$", array_type)
                assert count is not None
                assert int(count[1]) == len(element)
