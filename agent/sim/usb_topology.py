"""How an EC25 appears on the bus: its USB device, its five interfaces, their serial ports, its QMI port and its link.

Names, order and properties as Linux 6 and udev 252 show them for `2c7c:0125` with `option` and `qmi_wwan`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.core.errors import InvariantError
from agent.sim.sysfs import SysfsDevice

VENDOR, PRODUCT = "2c7c", "0125"
MODEMS_PER_CONTROLLER = 6
"""Endpoints of a common controller run out before its ports do."""
SERIAL_PORTS = 4
DIAG, AT_PRIMARY, AT_SECONDARY = 0, 2, 3
QMI_INTERFACE = 4
_PRODUCT_WORD = "2c7c/125/318"
_DEVICE_ATTRIBUTES = {
    "idVendor": VENDOR,
    "idProduct": PRODUCT,
    "bcdDevice": "0318",
    "bDeviceClass": "00",
    "bNumInterfaces": " 5",
    "bConfigurationValue": "1",
    "speed": "480",
    "manufacturer": "Quectel, Incorporated",
    "product": "LTE Module",
    "authorized": "1",
    "power/control": "on",
    "power/persist": "0",
}
_DEVICE_PROPERTIES = {
    "ID_BUS": "usb",
    "ID_VENDOR": "Quectel__Incorporated",
    "ID_VENDOR_ID": VENDOR,
    "ID_MODEL": "LTE_Module",
    "ID_MODEL_ID": PRODUCT,
    "ID_REVISION": "0318",
    "ID_SERIAL": "Quectel__Incorporated_LTE_Module",
    "ID_MM_DEVICE_IGNORE": "1",
}


def slot_of(index: int) -> str:
    """USB path of the `index`-th place in the farm (1 is the first)."""
    controller, port = divmod(index - 1, MODEMS_PER_CONTROLLER)
    return f"{controller + 1}-1.{port + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The global numbers that one plugged modem has at this moment."""

    device: int
    """USB device number on its bus."""
    ttys: tuple[int, ...]
    wdm: int | None
    """None in a composition without QMI."""
    link_index: int | None = None
    link_name: str | None = None
    mac: str = "02:50:f4:00:00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Every sysfs device of one modem, parents first."""

    slot: str
    numbers: Numbers
    usb_serial: str | None = None
    interfaces: tuple[SysfsDevice, ...] = field(init=False)
    """The interfaces and all below them: what an `authorized` of 0 takes away."""
    device: SysfsDevice = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", self._usb_device())
        object.__setattr__(self, "interfaces", tuple(self._interfaces()))

    @property
    def _bus(self) -> int:
        return int(self.slot.partition("-")[0])

    @property
    def _directory(self) -> str:
        hubs = self.slot.split(".")
        path = f"/devices/pci0000:00/0000:00:{0x13 + self._bus:02x}.0/usb{self._bus}"
        for depth in range(len(hubs)):
            path += "/" + ".".join(hubs[: depth + 1])
        return path

    def ancestors(self) -> tuple[SysfsDevice, ...]:
        """The controller, its root hub and the hubs above the slot."""
        controller = f"/devices/pci0000:00/0000:00:{0x13 + self._bus:02x}.0"
        found = [SysfsDevice(devpath=controller, subsystem="pci", driver="xhci_hcd")]
        steps = [
            f"usb{self._bus}",
            *(".".join(self.slot.split(".")[: depth + 1]) for depth in range(self.slot.count("."))),
        ]
        path = controller
        for number, step in enumerate(steps, start=1):
            path += f"/{step}"
            found.append(
                SysfsDevice(
                    devpath=path,
                    subsystem="usb",
                    devtype="usb_device",
                    driver="usb",
                    node=f"bus/usb/{self._bus:03d}/{number:03d}",
                    number=(189, (self._bus - 1) * 128 + number - 1),
                    uevent={"PRODUCT": "1d6b/2/618"},
                    attributes={
                        "idVendor": "1d6b",
                        "idProduct": "0002",
                        "busnum": str(self._bus),
                        "devnum": str(number),
                    },
                )
            )
        return tuple(found)

    def _usb_device(self) -> SysfsDevice:
        attributes = {
            **_DEVICE_ATTRIBUTES,
            "busnum": str(self._bus),
            "devnum": str(self.numbers.device),
            "devpath": self.slot.partition("-")[2],
        }
        properties = {**_DEVICE_PROPERTIES, **self._path_property("")}
        if self.usb_serial is not None:
            attributes["serial"] = self.usb_serial
            properties["ID_SERIAL_SHORT"] = self.usb_serial
        return SysfsDevice(
            devpath=self._directory,
            subsystem="usb",
            devtype="usb_device",
            driver="usb",
            node=f"bus/usb/{self._bus:03d}/{self.numbers.device:03d}",
            number=(189, (self._bus - 1) * 128 + self.numbers.device - 1),
            uevent={
                "PRODUCT": _PRODUCT_WORD,
                "BUSNUM": f"{self._bus:03d}",
                "DEVNUM": f"{self.numbers.device:03d}",
            },
            attributes=attributes,
            properties=properties,
        )

    def _path_property(self, tail: str) -> dict[str, str]:
        port = self.slot.partition("-")[2]
        path = f"pci-0000:00:{0x13 + self._bus:02x}.0-usb-0:{port}{tail}"
        return {"ID_PATH": path, "ID_PATH_TAG": path.replace(":", "_").replace(".", "_")}

    def _interfaces(self) -> list[SysfsDevice]:
        found = []
        for number in range(SERIAL_PORTS + 1):
            found.append(self._interface(number))
            if number < SERIAL_PORTS:
                found += self._serial_port(number)
            elif self.numbers.wdm is not None:
                found += self._data_ports()
        return found

    def _interface(self, number: int) -> SysfsDevice:
        name = f"{self.slot}:1.{number}"
        with_qmi = self.numbers.wdm is not None
        serial = number < SERIAL_PORTS
        kind = (255, 0, 0) if serial and number else (255, 255, 255) if serial or with_qmi else (2, 6, 0)
        driver = "option" if serial else "qmi_wwan" if with_qmi else "cdc_ether"
        return SysfsDevice(
            devpath=f"{self._directory}/{name}",
            subsystem="usb",
            devtype="usb_interface",
            driver=driver,
            uevent={"PRODUCT": _PRODUCT_WORD, "TYPE": "0/0/0", "INTERFACE": "/".join(map(str, kind))},
            attributes={
                "bInterfaceNumber": f"{number:02x}",
                "bInterfaceClass": f"{kind[0]:02x}",
                "bInterfaceSubClass": f"{kind[1]:02x}",
                "bInterfaceProtocol": f"{kind[2]:02x}",
                "bAlternateSetting": " 0",
                "bNumEndpoints": "02" if number == 0 else "03",
            },
            properties=self._path_property(f":1.{number}"),
        )

    def _serial_port(self, number: int) -> list[SysfsDevice]:
        minor = self.numbers.ttys[number]
        name = f"ttyUSB{minor}"
        above = f"{self._directory}/{self.slot}:1.{number}/{name}"
        return [
            SysfsDevice(devpath=above, subsystem="usb-serial", driver="option1", attributes={"port_number": "0"}),
            SysfsDevice(
                devpath=f"{above}/tty/{name}",
                subsystem="tty",
                node=name,
                number=(188, minor),
                properties={
                    "ID_BUS": "usb",
                    "ID_VENDOR_ID": VENDOR,
                    "ID_MODEL_ID": PRODUCT,
                    "ID_USB_INTERFACE_NUM": f"{number:02x}",
                    "ID_USB_DRIVER": "option",
                    "ID_MM_DEVICE_IGNORE": "1",
                    **self._path_property(f":1.{number}"),
                },
            ),
        ]

    def _data_ports(self) -> list[SysfsDevice]:
        numbers = self.numbers
        if numbers.wdm is None or numbers.link_name is None or numbers.link_index is None:
            raise InvariantError("a composition with QMI has a cdc-wdm number and a link")
        above = f"{self._directory}/{self.slot}:1.{QMI_INTERFACE}"
        return [
            SysfsDevice(
                devpath=f"{above}/net/{numbers.link_name}",
                subsystem="net",
                devtype="wwan",
                link_index=numbers.link_index,
                attributes={
                    "address": numbers.mac,
                    "type": "65534",
                    "qmi/raw_ip": "N",
                    "operstate": "unknown",
                },
                properties={
                    "ID_BUS": "usb",
                    "ID_VENDOR_ID": VENDOR,
                    "ID_MODEL_ID": PRODUCT,
                    "ID_USB_INTERFACE_NUM": f"{QMI_INTERFACE:02x}",
                    "ID_USB_DRIVER": "qmi_wwan",
                    "ID_NET_DRIVER": "qmi_wwan",
                    **self._path_property(f":1.{QMI_INTERFACE}"),
                },
            ),
            SysfsDevice(
                devpath=f"{above}/usbmisc/cdc-wdm{numbers.wdm}",
                subsystem="usbmisc",
                node=f"cdc-wdm{numbers.wdm}",
                number=(180, 176 + numbers.wdm),
            ),
        ]
