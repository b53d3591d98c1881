"""The captured messages of real devices (tests/data/cwmp), and what a person reads in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.acs.identity import DeviceIdentity
from agent.acs.soap.versions import CwmpVersion

FOLDER = Path(__file__).parents[2] / "data" / "cwmp"
V1_0, V1_2 = CwmpVersion.V1_0, CwmpVersion.V1_2


def names() -> list[str]:
    return sorted(path.name for path in FOLDER.glob("*.xml"))


def read(number: str) -> bytes:
    """The file whose name begins with `number`; those taken from HTTP traffic without its framing."""
    (path,) = FOLDER.glob(f"{number}-*.xml")
    return without_chunk_sizes(path.read_bytes()) if "http-chunked-body" in path.name else path.read_bytes()


def without_chunk_sizes(data: bytes) -> bytes:
    """A chunked HTTP body was captured with the sizes of its chunks in it (RFC 9112 §7.1); the first is missing. They
    are HTTP's, not the message's."""
    for size in (b"594", b"100"):
        assert data.count(b"\r\n" + size + b"\r\n") == 1
        data = data.replace(b"\r\n" + size + b"\r\n", b"")
    return data


def time(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # a tuple of unknown length


def identity(manufacturer: str, oui: str, product_class: str, serial_number: str) -> DeviceIdentity:
    return DeviceIdentity(manufacturer=manufacturer, oui=oui, product_class=product_class, serial_number=serial_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Informed:
    """What an Inform says."""

    id: str | None
    identity: DeviceIdentity
    events: tuple[str, ...]
    parameters: int
    """How many, whatever the arrayType says."""
    values: dict[str, tuple[str, str]]
    """Value and type of some."""
    current_time: datetime | None
    retry_count: int = 0
    max_envelopes: int = 1
    version: CwmpVersion = V1_0
    no_more_requests: bool = False
    keys: dict[str, str] = field(default_factory=dict)
    """CommandKey by event, where there is one."""


THOMSON = "THOMSON", "00147F"
ALCATEL = identity("Alcatel", "001D4C", "9365 BSR Femto", "4321")
IGD = "InternetGatewayDevice."
EXTERNAL = f"{IGD}WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.ExternalIPAddress"

INFORMS = {
    "02": Informed(
        id="19665046",
        identity=identity("SCTY", "40F420", "TEWA-1000G", "4685040F420F87E30"),
        events=("0 BOOTSTRAP", "1 BOOT", "X CT-COM BIND"),
        parameters=11,  # ten by its arrayType
        values={
            f"{IGD}DeviceInfo.SoftwareVersion": ("Tianyi_V1.0.1", "string"),
            EXTERNAL: ("10.99.0.2", "string"),  # whose Name begins with a line break
            f"{IGD}X_CT-COM_UserInfo.UserId": ("", "string"),
        },
        current_time=time(2025, 4, 28, 12, 30, 20),
        retry_count=5,
    ),
    "08": Informed(
        id="22_THOM_TR69_ID",
        identity=identity(*THOMSON, "SpeedTouch 706", "CP0636JT3SH"),
        events=("2 PERIODIC",),
        parameters=12,
        values={
            f"{IGD}DeviceInfo.VendorConfigFile.1.Date": ("0000-00-00T00:00:00", "dateTime"),
            ".ExternalIPAddress": ("192.168.1.254", "string"),
        },
        current_time=time(1970, 1, 1, 3, 18, 53),
        retry_count=10,
        max_envelopes=2,
    ),
    "14": Informed(
        id="THOM_CPE_ALC_ID_9",
        identity=identity(*THOMSON, "SpeedTouch 706", "CP0636JT3SH"),
        events=("2 PERIODIC",),
        parameters=11,
        values={f"{IGD}DeviceInfo.ProvisioningCode": ("SKYN_PLUS", "string")},
        current_time=time(1970, 1, 1, 0, 2, 13),
        max_envelopes=2,
        no_more_requests=True,
    ),
    "16": Informed(
        id="8_THOM_TR69_ID",
        identity=identity(*THOMSON, "SpeedTouch 585", "CP0703KT3PP"),
        events=("2 PERIODIC",),
        parameters=12,
        values={f"{IGD}DeviceInfo.HardwareVersion": ("BANT-W", "string")},
        current_time=time(1970, 1, 1, 0, 2, 38),
        max_envelopes=2,
    ),
    "20": Informed(
        id="3_THOM_TR69_ID",
        identity=identity(*THOMSON, "SpeedTouch 780", "CP0644JTHJ4"),
        events=("2 PERIODIC",),
        parameters=8,
        values={f"{IGD}DeviceInfo.ProvisioningCode": ("test provision", "string")},
        current_time=time(1970, 1, 1, 0, 2, 16),
        max_envelopes=2,
    ),
    "22": Informed(
        id="14_THOM_TR69_ID",
        identity=identity(*THOMSON, "SpeedTouch 780", "CP0644JTHJ4"),
        events=("2 PERIODIC",),
        parameters=12,
        values={
            f"{IGD}DeviceInfo.HardwareVersion": ("BANT-R", "string"),  # a chunk began within this name
            f"{IGD}ManagementServer.ParameterKey": ("", "string"),  # and one within this value's type
        },
        current_time=time(1970, 1, 1, 0, 28, 51),
        max_envelopes=2,
    ),
    "28": Informed(
        id="629695424",
        identity=identity("Broadcom", "a06518", "968380GERG", "a0651806d37f"),
        events=("6 CONNECTION REQUEST",),
        parameters=8,
        values={f"{IGD}ManagementServer.ParameterKey": ("unsetCommandKey", "string")},
        current_time=time(1970, 1, 4, 18, 5, 55),
    ),
    "32": Informed(
        id="1",
        identity=ALCATEL,
        events=("2 PERIODIC",),
        parameters=10,
        values={
            "Device.ManagementServer.ConnectionRequestURL": (
                "http://127.0.0.1:8095/ConnectionRequest?command=cr&sn=4321",
                "string",
            )
        },
        current_time=datetime(2012, 10, 3, 18, 16, 2, 202000, tzinfo=UTC),
    ),
    "34": Informed(
        id="1",
        identity=ALCATEL,
        events=("1 BOOT", "10 AUTONOMOUS TRANSFER COMPLETE"),
        parameters=13,
        values={"Device.GatewayInfo.SerialNumber": ("", "string")},
        current_time=datetime(2012, 10, 3, 18, 53, 43, 925000, tzinfo=UTC),
    ),
    "36": Informed(
        id="1",
        identity=ALCATEL,
        events=("1 BOOT",),
        parameters=13,
        values={"Device.LAN.MACAddress": ("00-0E-35-D6-24-F7", "string")},
        current_time=datetime(2012, 10, 3, 18, 15, 1, 802000, tzinfo=UTC),
    ),
    "38": Informed(
        id=None,  # there is no Header
        identity=identity("JIUZHOU", "990102", "JIUZHOUV10", "00100199010211400000D0154AD4934C"),
        events=("6 CONNECTION REQUEST",),
        parameters=2,
        values={"Device.LAN.IPAddress": ("10.10.10.10", "string")},  # untyped
        current_time=time(2012, 5, 9, 7, 10, 56),
    ),
    "42": Informed(
        id="0_THOM_TR69_ID",
        identity=identity(*THOMSON, "SpeedTouch 780", "CP0611JTLNW"),
        events=("0 BOOTSTRAP", "1 BOOT", "2 PERIODIC", "4 VALUE CHANGE"),
        parameters=12,
        values={
            f"{IGD}DeviceInfo.VendorConfigFile.1.Date": ("0001-01-01T00:00:00", "dateTime"),
            EXTERNAL: ("10.127.129.205", "string"),
        },
        current_time=time(1970, 1, 1, 0, 1, 9),
        retry_count=5,
        max_envelopes=2,
    ),
    "46": Informed(
        id="1",
        identity=identity("Airvana", "0005B9", "LTE_Enterprise_C-RANSC_Cntrl", "0005B9519091"),
        events=("1 BOOT", "4 VALUE CHANGE"),  # two codes in one EventStruct
        parameters=12,
        values={"Device.IP.Interface.1.IPv4Enable": ("1", "boolean")},
        current_time=time(2018, 4, 27, 7, 9, 16),
    ),
    "48": Informed(
        id="1",
        identity=identity("Airvana", "0005B9", "LTE_Enterprise_C-RANSC_Cntrl", "0005B9519095"),
        events=("4 VALUE CHANGE",),
        parameters=12,
        values={"Device.DeviceInfo.SoftwareVersion": ("3.0.00.073", "string")},
        current_time=time(2018, 4, 27, 7, 9, 16),
    ),
    "50": Informed(
        id="1",
        identity=identity("", "0005B9", "LTE_Enterprise_C-RANSC_Cntrl", "0005B9423910"),
        events=("0 BOOTSTRAP",),
        parameters=7,
        values={"Device.Services.FAPService.1.FAPControl.LTE.AdminState": ("0", "string")},  # untyped
        current_time=datetime(2020, 6, 10, 11, 27, 26, 54000, tzinfo=UTC),
    ),
    "52": Informed(
        id="100",
        identity=identity("The Company", "AA1234", "IAD_001", "S99998888"),
        events=("2 PERIODIC",),
        parameters=8,
        values={f"{IGD}DeviceInfo.SoftwareVersion": ("V1.00(beta)", "string")},
        current_time=time(2015, 1, 19, 23, 8, 24),
        no_more_requests=True,
    ),
    "54": Informed(
        id="844317904",
        identity=identity("ZyXEL", "4C9EFF", "VMG8924-B10A", "S140Y24025829"),
        events=("6 CONNECTION REQUEST",),
        parameters=8,
        values={
            f"{IGD}WANDevice.2.WANConnectionDevice.1.WANIPConnection.2.X_5067F0_ExternalIPv6Address": (
                "2a02:980:1400::1ff/64",
                "string",
            )
        },
        current_time=time(2016, 1, 30, 12, 20, 27),
    ),
    "56": Informed(
        id=None,
        identity=identity("Motorola Mobility", "001404", "VAP2404E", "M91342SA1JJ0"),
        events=("2 PERIODIC",),
        parameters=11,
        values={"Device.LAN.MACAddress": ("30:60:23:06:C6:8E", "string")},
        current_time=time(2015, 9, 22, 12, 4, 58),
    ),
    "68": Informed(
        id="1",
        identity=identity("FakeManufacturer", "000000", "FakeProductClass", "FakeSerialNumber"),
        events=("0 BOOTSTRAP", "1 BOOT", "4 VALUE CHANGE"),
        keys={"0 BOOTSTRAP": "TR069_FakeManufacturer_HOMEGATEWAY"},
        parameters=4,
        values={f"{IGD}DeviceInfo.SoftwareVersion": ("V5.2.10P4T26", "string")},
        current_time=time(1970, 1, 2, 0, 8, 34),
        version=V1_2,
    ),
    "80": Informed(
        id="1",
        identity=identity("ZTE", "44F436", "F600W", "ZTEEQAWF5J00191"),
        events=("0 BOOTSTRAP", "1 BOOT", "4 VALUE CHANGE"),
        keys={"0 BOOTSTRAP": "TR069_ZTE_HOMEGATEWAY"},
        parameters=10,  # ConnectionRequestURL twice
        values={f"{IGD}ManagementServer.ConnectionRequestURL": ("http://10.90.13.32:58000", "string")},
        current_time=time(1970, 1, 2, 0, 8, 34),
    ),
}
