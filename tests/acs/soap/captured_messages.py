"""What a person reads in the captured messages that are no Informs, and why some of them are refused."""

from __future__ import annotations

from agent.acs.soap import messages as soap
from tests.acs.soap.captures import V1_0, V1_2, time

WHOLE = {
    "04": soap.Envelope(
        version=V1_0,
        message=soap.GetParameterValuesResponse(
            parameters=(
                soap.ParameterValue(
                    name="InternetGatewayDevice.DeviceInfo.MemoryStatus.Total", value="1024", type="unsignedInt"
                ),
                soap.ParameterValue(
                    name="InternetGatewayDevice.DeviceInfo.MemoryStatus.Free", value="256", type="unsignedInt"
                ),
            )
        ),
    ),
    "06": soap.Envelope(
        version=V1_0,
        message=soap.GetParameterNamesResponse(
            parameters=(
                soap.ParameterInfo(name="InternetGatewayDevice.DeviceInfo.", writable=False),
                soap.ParameterInfo(name="InternetGatewayDevice.ManagementServer.", writable=False),
            )
        ),
    ),
    "10": soap.Envelope(id="22_THOM_TR69_ID", version=V1_0, message=soap.Fault(code="9001", string="Request Denied")),
    "18": soap.Envelope(
        id="226_THOM_TR69_ID", version=V1_0, message=soap.Fault(code="9000", string="Method not supported")
    ),
    # Its transfers stand side by side, without the array around them.
    "24": soap.Envelope(
        id="TestCwmpId",
        version=V1_2,
        message=soap.GetQueuedTransfersResponse(
            transfers=(
                soap.QueuedTransfer(command_key="CommandKey1", state=2),
                soap.QueuedTransfer(command_key="CommandKey2", state=2),
            )
        ),
    ),
    "26": soap.Envelope(
        id="TestCwmpId",
        version=V1_2,
        message=soap.Fault(code="9005", string="No such parameter: NopeNotHere"),
    ),
    "44": soap.Envelope(
        id="1234",
        version=V1_0,
        message=soap.TransferComplete(
            command_key="Downloading stuff",
            start_time=time(2016, 11, 30, 10, 16, 29),
            complete_time=time(2016, 11, 30, 10, 17, 5),
        ),
    ),
    # `SOAP-ENV:Client`; its file name promises details that are not in it.
    "58": soap.Envelope(id="50", version=V1_0, message=soap.Fault(code="9005", string="Invalid parameter name")),
    "60": soap.Envelope(
        id="1",
        version=V1_0,
        message=soap.AutonomousTransferComplete(
            announce_url="http://example.com/announce",
            transfer_url="http://example.com/transfer",
            is_download=True,
            file_type="1 Firmware Upgrade Image",
            file_size=10000,
            target_file_name="/bin/image",
            start_time=time(2016, 4, 7, 8, 43, 49),
            complete_time=time(2016, 4, 7, 8, 45, 6),
        ),
    ),
    # An array where the schema has none, and a FaultStruct in the Fault.
    "62": soap.Envelope(
        id="50",
        version=V1_0,
        message=soap.AutonomousDUStateChangeComplete(
            results=(
                soap.AutonOpResult(
                    uuid="some-uuid",
                    deployment_unit_ref="uref",
                    version="v2.1",
                    current_state="curState",
                    resolved=True,
                    execution_unit_ref_list="a,b,c",
                    start_time=time(2015, 1, 19, 23, 45, 12),
                    complete_time=time(2015, 1, 19, 23, 55, 12),
                    operation_performed="Install",
                ),
            )
        ),
    ),
    "64": soap.Envelope(
        id="API_aa0642e34b23820801e7642ad7cb536c",
        version=V1_0,
        message=soap.Kicked(command="cmd", referer="some_host", arg="success", next="http://example.com/next"),
    ),
    "66": soap.Envelope(
        id="API_953323a9b674bb42b7cad250b2cf0607",
        version=V1_0,
        message=soap.GetParameterAttributesResponse(
            attributes=(
                soap.ParameterAttribute(
                    name="InternetGatewayDevice.DeviceInfo.HardwareVersion",
                    notification=0,
                    access_list=("Subscriber",),
                ),
                soap.ParameterAttribute(
                    name="InternetGatewayDevice.DeviceInfo.SoftwareVersion",
                    notification=2,
                    access_list=("Subscriber",),
                ),
            )
        ),
    ),
    # Nine values by its arrayType.
    "70": soap.Envelope(
        id="FREEACS-0",
        version=V1_2,
        message=soap.GetParameterValuesResponse(
            parameters=(
                soap.ParameterValue(name="InternetGatewayDevice.DeviceInfo.SoftwareVersion", value="v1.1.91"),
                soap.ParameterValue(
                    name="InternetGatewayDevice.ManagementServer.PeriodicInformInterval",
                    value="360",
                    type="unsignedInt",
                ),
            )
        ),
    ),
    "72": soap.Envelope(
        id="123",
        version=V1_0,
        message=soap.Fault(
            code="9003",
            string="InvalidArguments",
            parameters=(
                soap.ParameterFault(
                    name="InternetGatewayDevice.Time.LocalTimeZone", code="9007", string="Not a valid time zone value"
                ),
                soap.ParameterFault(
                    name="InternetGatewayDevice.Time.LocalTimeZoneName", code="9007", string="String too long"
                ),
            ),
        ),
    ),
    # A struct without Value.
    "79": soap.Envelope(
        id="166f77013830000",
        version=V1_0,
        message=soap.GetParameterValuesResponse(
            parameters=(soap.ParameterValue(name="Device.DeviceInfo.DeviceLog", value=""),)
        ),
    ),
    # The unknown time, twice.
    "81": soap.Envelope(
        id="XXXXXXXYYYYZZZ",
        version=V1_0,
        message=soap.TransferComplete(
            command_key="",
            fault_code="9015",
            fault_string="File transfer failure: unable to contact file server",
        ),
    ),
}

REFUSED = {
    # It names its OUI only; nobody can tell such devices apart.
    "40": "the DeviceId has no SerialNumber",
    # Taken out of a Java source, with the Java.
    "74": "not well-formed XML",
    # Cut out of their envelopes, so no prefix is declared.
    "76": "Namespace prefix cwmp on Inform is not defined",
    "78": "Namespace prefix cwmp on Inform is not defined",
    "86": "Namespace prefix SOAP-ENV on Fault is not defined",
    # Truncated where they were published.
    "82": "Premature end of data in tag Value",
    "84": "Premature end of data in tag ParameterValueStruct",
    "85": "not well-formed XML: expected '>'",
}
