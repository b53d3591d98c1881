"""All that a CPE says is valid by the Broadband Forum's own schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.wire import Wire
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD
from tests.sim.cpe.scripted_acs import ScriptedAcs

_XSD = Path(__file__).parents[2] / "data" / "xsd"
# What CWMP's schemas import, as far as they use it.
_STUBS = {
    "envelope": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" elementFormDefault="qualified"
  targetNamespace="http://schemas.xmlsoap.org/soap/envelope/"><xs:attribute name="mustUnderstand" type="xs:boolean"/>
  </xs:schema>""",
    "encoding": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="http://schemas.xmlsoap.org/soap/encoding/"
  targetNamespace="http://schemas.xmlsoap.org/soap/encoding/"><xs:attribute name="arrayType" type="xs:string"/>
  <xs:complexType name="Array"><xs:sequence><xs:any namespace="##any" minOccurs="0" maxOccurs="unbounded"
  processContents="lax"/></xs:sequence><xs:attribute ref="t:arrayType"/></xs:complexType>
  <xs:simpleType name="base64"><xs:restriction base="xs:base64Binary"/></xs:simpleType></xs:schema>""",
}
_VERSIONS = {"1.0": "cwmp-1-0", "1.1": "cwmp-1-1", "1.2": "cwmp-1-2", "1.4": "cwmp-1-2"}


class _Stubs(etree.Resolver):
    def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:
        for name, text in _STUBS.items():
            if name in (system_url or ""):
                return self.resolve_string(text, context)
        return None


def _schema(name: str) -> etree.XMLSchema:
    parser = etree.XMLParser()
    parser.resolvers.add(_Stubs())
    return etree.XMLSchema(etree.parse(str(_XSD / f"{name}.xsd"), parser))


def _asks(acs: ScriptedAcs, version: str) -> None:
    ssid = IGD + "LANDevice.1.WLANConfiguration.1.SSID"
    acs.files["/fw.bin"] = b"SoftwareVersion=V9\n"
    acs.ask(
        "<cwmp:GetRPCMethods/>",
        rpc_xml.get_names(""),
        rpc_xml.get_values(""),
        rpc_xml.get_attributes(IGD + "DeviceInfo."),
        rpc_xml.set_values((ssid, "new", "string")),
        rpc_xml.set_values((ssid, "1", "int"), (IGD + "Nothing", "1")),
        rpc_xml.set_notification(ssid, 2),
        rpc_xml.object_rpc("AddObject", IGD + "LANDevice.1.WLANConfiguration."),
        rpc_xml.object_rpc("DeleteObject", IGD + "LANDevice.1.WLANConfiguration.6."),
        rpc_xml.object_rpc("DeleteObject", IGD),
        rpc_xml.download(acs.url + "fw.bin"),
        rpc_xml.upload(acs.url + "none", "X 00259E Configuration"),
        "<cwmp:GetQueuedTransfers/>",
        rpc_xml.simple("ScheduleInform", DelaySeconds=3600, CommandKey="si"),
        rpc_xml.simple("Reboot", CommandKey="rk"),
        rpc_xml.simple("GetOptions", OptionName=""),
    )
    if version != "1.0":
        acs.ask("<cwmp:GetAllQueuedTransfers/>")
    if version in {"1.2", "1.4"}:
        acs.ask(
            rpc_xml.schedule_download(acs.url + "fw.bin"),
            rpc_xml.simple("CancelTransfer", CommandKey="sd"),
            rpc_xml.change_du_state("Install", URL=acs.url + "fw.bin"),
        )


@pytest.mark.parametrize("version", _VERSIONS)
def test_every_message_is_valid(acs: ScriptedAcs, make_cpe: MakeCpe, version: str) -> None:
    acs.namespace = f"urn:dslforum-org:{_VERSIONS[version]}"
    cpe = make_cpe(wire=Wire(cwmp_version=version))
    _asks(acs, version)
    report = cpe.run_session()
    assert (report.completed, report.complaints, len(acs.asks)) == (True, (), 0)
    cpe.run_jobs()
    extra = ("GetRPCMethods", "Kicked", "RequestDownload")
    cpe.behave(Behaviour(extra_requests=extra if version == "1.0" else (*extra, "AutonomousTransferComplete")))
    acs.ask("<cwmp:FactoryReset/>")
    second = cpe.run_session()
    assert (second.completed, second.complaints, second.requests.count("TransferComplete")) == (True, (), 2)
    schema = _schema(_VERSIONS[version])
    seen = set()
    for received in acs.received:
        if received.method and received.path == "/":
            root = etree.fromstring(received.body)
            body = root[-1][0]
            content = body[-1][0] if received.method == "Fault" else body
            seen.add(etree.QName(content).localname)
            alone = etree.fromstring(etree.tostring(content))
            assert schema.validate(alone), (received.method, schema.error_log)
    assert len(seen) >= 15
    assert len(report.faults) == 3
