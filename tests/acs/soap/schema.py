"""The official schemas of CWMP, loaded without the network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree

XSD = Path(__file__).parents[2] / "data" / "xsd"
STUBS = Path(__file__).parent / "schemas"
_SOAP = {
    "http://schemas.xmlsoap.org/soap/envelope/": STUBS / "envelope.xsd",
    "http://schemas.xmlsoap.org/soap/encoding/": STUBS / "encoding.xsd",
}
_FORUM = "http://www.broadband-forum.org/cwmp/"
RPC_SCHEMAS = {
    "urn:dslforum-org:cwmp-1-0": ("1-0",),
    "urn:dslforum-org:cwmp-1-1": ("1-1",),
    # The later two extend the namespace of 1.2.
    "urn:dslforum-org:cwmp-1-2": ("1-2", "1-3", "1-4"),
}


class _Local(etree.Resolver):
    def resolve(self, system_url, public_id, context):  # type: ignore[no-untyped-def]  # lxml's types are its own
        if system_url in _SOAP:
            return self.resolve_filename(str(_SOAP[system_url]), context)
        if system_url.startswith(_FORUM):
            return self.resolve_filename(str(XSD / system_url.removeprefix(_FORUM)), context)
        assert "://" not in system_url, f"a test would fetch {system_url}"
        return None


@cache
def schema(version: str) -> etree.XMLSchema:
    """`cwmp-{version}.xsd`."""
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Local())
    return etree.XMLSchema(etree.parse(str(XSD / f"cwmp-{version}.xsd"), parser))


def methods(version: str) -> set[str]:
    """The RPCs that a schema has, with those that it includes."""
    own = etree.parse(str(XSD / f"cwmp-{version}.xsd")).getroot()
    included = {"1-3": "1-2", "1-4": "1-3"}.get(version)
    header = {
        "ID",
        "HoldRequests",
        "SessionTimeout",
        "SupportedCWMPVersions",
        "UseCWMPVersion",
        "Fault",
    }
    found = {str(element.get("name")) for element in own.iterfind("{http://www.w3.org/2001/XMLSchema}element")}
    return (found - header) | (methods(included) if included else set())
