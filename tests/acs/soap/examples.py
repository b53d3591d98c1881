"""One good example, or a few, of every message; each is allowed by the schemas of all versions that have its RPC."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.acs.identity import DeviceIdentity
from agent.acs.soap import messages as soap

START = datetime(2026, 11, 27, 10, 30, 5, tzinfo=UTC)
COMPLETE = datetime(2026, 11, 27, 10, 31, 59, 250000, tzinfo=UTC)
UUID = "f1a2b3c4-0000-4000-8000-00000000abcd"
NAMES = ("Device.DeviceInfo.", "Device.ManagementServer.PeriodicInformInterval")
VALUES = tuple(
    soap.ParameterValue(name=f"Device.X_001122_Test.{type_}", value=value, type=type_)
    for type_, value in (
        ("string", "Küche & Bad <5 GHz>"),
        ("boolean", "1"),
        ("int", "-220"),
        ("unsignedInt", "4294967295"),
        ("long", "-9223372036854775808"),
        ("unsignedLong", "18446744073709551615"),
        ("dateTime", "2026-11-27T10:30:05Z"),
        ("base64", "AAEC"),
        ("hexBinary", "00FF"),
    )
)

MESSAGES: tuple[soap.Message, ...] = (
    soap.Inform(
        identity=DeviceIdentity(
            manufacturer="Example & Co", oui="001122", product_class="Box <2>", serial_number="SN-1"
        ),
        events=(
            soap.Event(code="0 BOOTSTRAP"),
            soap.Event(code="2 PERIODIC"),
            soap.Event(code="M Download", command_key="t17"),
            soap.Event(code="X 001122 Something"),
        ),
        max_envelopes=1,
        current_time=START,
        retry_count=3,
        parameters=VALUES,
    ),
    soap.Inform(identity=DeviceIdentity(oui="001122", product_class="", serial_number="SN-1")),
    soap.InformResponse(),
    soap.GetRPCMethods(),
    soap.GetRPCMethodsResponse(methods=("Inform", "GetRPCMethods", "X_001122_Do")),
    soap.SetParameterValues(parameters=VALUES, parameter_key="key 7"),
    soap.SetParameterValuesResponse(status=1),
    soap.GetParameterValues(names=NAMES),
    soap.GetParameterValuesResponse(parameters=VALUES),
    soap.GetParameterValuesResponse(),
    soap.GetParameterNames(parameter_path="Device.", next_level=True),
    soap.GetParameterNames(),
    soap.GetParameterNamesResponse(
        parameters=tuple(soap.ParameterInfo(name=name, writable=name.endswith("Interval")) for name in NAMES)
    ),
    soap.SetParameterAttributes(
        attributes=(
            soap.SetParameterAttribute(name=NAMES[1], notification=2),
            soap.SetParameterAttribute(name=NAMES[0], access_list=("Subscriber",)),
            soap.SetParameterAttribute(name=NAMES[0], notification=0, access_list=()),
        )
    ),
    soap.SetParameterAttributesResponse(),
    soap.GetParameterAttributes(names=NAMES),
    soap.GetParameterAttributesResponse(
        attributes=(
            soap.ParameterAttribute(name=NAMES[1], notification=1, access_list=("Subscriber",)),
            soap.ParameterAttribute(name=NAMES[0], notification=0),
        )
    ),
    soap.AddObject(object_name="Device.NAT.PortMapping.", parameter_key="key 7"),
    soap.AddObjectResponse(instance_number=4, status=1),
    soap.DeleteObject(object_name="Device.NAT.PortMapping.4."),
    soap.DeleteObjectResponse(status=0),
    soap.Download(
        command_key="t17",
        file_type="1 Firmware Upgrade Image",
        url="https://files.example/fw.bin?a=1&b=2",
        username="user",
        password=" pass<word> ",
        file_size=12345678,
        target_file_name="fw.bin",
        delay_seconds=5,
        success_url="https://files.example/ok",
        failure_url="https://files.example/no",
    ),
    soap.Download(command_key="", file_type="3 Vendor Configuration File", url="http://files.example/c"),
    soap.DownloadResponse(status=1),
    soap.DownloadResponse(status=0, start_time=START, complete_time=COMPLETE),
    soap.Upload(
        command_key="t18",
        file_type="2 Vendor Log File",
        url="https://files.example/up",
        username="user",
        password="secret",
        delay_seconds=1,
    ),
    soap.UploadResponse(status=0, start_time=START, complete_time=COMPLETE),
    soap.ScheduleDownload(
        command_key="t19",
        file_type="1 Firmware Upgrade Image",
        url="https://files.example/fw.bin",
        windows=(
            soap.TimeWindow(
                start_seconds=60, end_seconds=3600, mode="4 Confirmation Needed", user_message="Now?", max_retries=-1
            ),
            soap.TimeWindow(start_seconds=86400, end_seconds=90000, mode="2 Immediately"),
        ),
    ),
    soap.ScheduleDownloadResponse(),
    soap.CancelTransfer(command_key="t19"),
    soap.CancelTransferResponse(),
    soap.GetQueuedTransfers(),
    soap.GetQueuedTransfersResponse(transfers=(soap.QueuedTransfer(command_key="t17", state=2),)),
    soap.GetQueuedTransfersResponse(),
    soap.GetAllQueuedTransfers(),
    soap.GetAllQueuedTransfersResponse(
        transfers=(
            soap.AllQueuedTransfer(
                command_key="t17",
                state=3,
                is_download=True,
                file_type="1 Firmware Upgrade Image",
                file_size=99,
                target_file_name="fw.bin",
            ),
        )
    ),
    soap.Reboot(command_key="t20"),
    soap.RebootResponse(),
    soap.FactoryReset(),
    soap.FactoryResetResponse(),
    soap.ScheduleInform(delay_seconds=30, command_key="t21"),
    soap.ScheduleInformResponse(),
    soap.ChangeDUState(
        operations=(
            soap.InstallOperation(
                url="https://files.example/du",
                uuid=UUID,
                username="user",
                password=" secret ",
                execution_env_ref="Device.SoftwareModules.ExecEnv.1",
            ),
            soap.InstallOperation(url="https://files.example/du"),
            soap.UpdateOperation(uuid=UUID, version="1.0", url="https://files.example/du2"),
            soap.UpdateOperation(),
            soap.UninstallOperation(uuid=UUID, version="1.0", execution_env_ref="Device.SoftwareModules.ExecEnv.1"),
            soap.UninstallOperation(uuid=UUID),
        ),
        command_key="t22",
    ),
    soap.ChangeDUStateResponse(),
    soap.GetOptions(option_name="Option one"),
    soap.GetOptionsResponse(
        options=(
            soap.Option(
                name="Option one",
                voucher_serial=9,
                state=3,
                mode=2,
                start_time=START,
                expiration_time=COMPLETE,
                is_transferable=True,
            ),
            soap.Option(name="Option two", voucher_serial=0, state=0, mode=0),
        )
    ),
    soap.SetVouchers(vouchers=("PFNpZ25hdHVyZS8+", "AA==")),
    soap.SetVouchersResponse(),
    soap.TransferComplete(command_key="t17", start_time=START, complete_time=COMPLETE),
    soap.TransferComplete(command_key="", fault_code="9010", fault_string="Download failure"),
    soap.TransferCompleteResponse(),
    soap.AutonomousTransferComplete(
        announce_url="https://files.example/announce",
        transfer_url="https://files.example/transfer",
        is_download=True,
        file_type="1 Firmware Upgrade Image",
        file_size=77,
        target_file_name="fw.bin",
        fault_code="9011",
        fault_string="Upload failure",
        start_time=START,
        complete_time=COMPLETE,
    ),
    soap.AutonomousTransferCompleteResponse(),
    soap.RequestDownload(file_type="2 Web Content", arguments=(soap.FileTypeArgument(name="Language", value="de"),)),
    soap.RequestDownloadResponse(),
    soap.Kicked(command="cmd", referer="http://box/", arg=" a=1 ", next="http://box/next"),
    soap.KickedResponse(next_url="https://portal.example/"),
    soap.DUStateChangeComplete(
        results=(
            soap.OpResult(
                uuid=UUID,
                deployment_unit_ref="Device.SoftwareModules.DeploymentUnit.1",
                version="1.0",
                current_state="Installed",
                resolved=True,
                execution_unit_ref_list="Device.SoftwareModules.ExecutionUnit.1",
                start_time=START,
                complete_time=COMPLETE,
            ),
            soap.OpResult(uuid=UUID, current_state="Failed", fault_code="9022", fault_string="Invalid UUID Format"),
        ),
        command_key="t22",
    ),
    soap.DUStateChangeCompleteResponse(),
    soap.AutonomousDUStateChangeComplete(
        results=(soap.AutonOpResult(uuid=UUID, current_state="Uninstalled", operation_performed="Uninstall"),)
    ),
    soap.AutonomousDUStateChangeCompleteResponse(),
    soap.Fault(code="8005", string="Retry request", soap_code=soap.SoapFaultCode.SERVER),
    soap.Fault(
        code="9003",
        string="Invalid arguments",
        parameters=(
            soap.ParameterFault(name="Device.A", code="9007", string="Invalid value"),
            soap.ParameterFault(name="Device.B", code="9008"),
        ),
    ),
    soap.UnknownRPC(name="X_001122_Do"),
)
