#!/usr/bin/python3
"""In the virtual machine: attach the devices that the farm names to the kernel's virtual USB controllers.

    guest_attach.py [ADDRESS [USBIP-TCP-PORT [CONTROL-TCP-PORT]]]

Runs for ever and needs nothing but Python's library. What is asked and answered: agent/sim/usbip/guest_link.py. The
kernel's side: drivers/usb/usbip/vhci_sysfs.c; `attach` takes any connected stream socket, and keeps its own reference.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from pathlib import Path

CONTROLLERS = Path("/sys/devices/platform")
FIRST = CONTROLLERS / "vhci_hcd.0"
RETRY_SECONDS = 0.3
WAIT_SECONDS = 20.0
USBIP_VERSION, REQUEST_IMPORT, HIGH_SPEED = 0x0111, 0x8003, 3
IMPORT_REPLY_BYTES = 8 + 312


def high_speed_ports() -> list[tuple[int, str]]:
    """(number for `attach`, status word) of every high-speed port, in order."""
    found = []
    for file in FIRST.glob("status*"):
        for line in file.read_text().splitlines()[1:]:
            words = line.split()
            if words[0] == "hs":
                found.append((int(words[1]), words[2]))
    return sorted(found)


def slot_of(position: int, ports: int) -> str:
    """The USB path of the port: root hub and port there, as the kernel will call it."""
    controllers = sorted(CONTROLLERS.glob("vhci_hcd.*"), key=lambda path: int(path.name.rpartition(".")[2]))
    controller, port = divmod(position, ports // len(controllers))
    for hub in controllers[controller].glob("usb[0-9]*"):
        if (hub / "speed").read_text().strip() == "480":
            return f"{hub.name.removeprefix('usb')}-{port + 1}"
    raise OSError(f"{controllers[controller]} has no high-speed hub")


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("the server refuses the import")
        data += part
    return data


def import_device(address: str, tcp_port: int, bus_id: str) -> socket.socket:
    """A connection over which URBs of that device can go."""
    connection = socket.create_connection((address, tcp_port), timeout=WAIT_SECONDS)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(struct.pack(">HHI32s", USBIP_VERSION, REQUEST_IMPORT, 0, bus_id.encode()))
        _, _, status = struct.unpack(">HHI", receive(connection, 8))
        if status != 0:
            raise OSError(f"the server has no {bus_id}")
        receive(connection, IMPORT_REPLY_BYTES - 8)
        connection.settimeout(None)
    except OSError:
        connection.close()
        raise
    return connection


def attach(address: str, tcp_port: int, bus_id: str, device: int, position: int) -> str:
    """Import the device and give it to the kernel at that port; its USB path. Raises OSError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        ports = high_speed_ports()
        if position >= len(ports):
            raise OSError(f"there are {len(ports)} ports")
        number, state = ports[position]
        if state == "004":  # VDEV_ST_NULL: nothing is attached
            break
        if time.monotonic() > deadline:
            raise OSError(f"port {number} is still in use")
        time.sleep(0.02)
    connection = import_device(address, tcp_port, bus_id)
    try:
        (FIRST / "attach").write_text(f"{number} {connection.fileno()} {device} {HIGH_SPEED}")
    finally:
        connection.close()
    return slot_of(position, len(ports))


def obey(address: str, usbip_tcp_port: int, control_tcp_port: int) -> None:
    """Do what the farm says until the connection ends. Raises OSError when there is none."""
    with socket.create_connection((address, control_tcp_port), timeout=WAIT_SECONDS) as control:
        control.settimeout(None)
        control.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        control.sendall(json.dumps({"boot_id": boot_id}).encode() + b"\n")
        for line in control.makefile("rb"):
            asked = json.loads(line)
            try:
                slot = attach(address, usbip_tcp_port, asked["attach"], asked["device"], asked["port"])
                answer = {"id": asked["id"], "slot": slot}
            except OSError as error:
                answer = {"id": asked["id"], "error": str(error)}
            control.sendall(json.dumps(answer).encode() + b"\n")


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "192.0.2.1"
    usbip_tcp_port, control_tcp_port = (int(word) for word in (*sys.argv[2:4], "3240", "3241")[:2])
    while True:
        try:
            obey(address, usbip_tcp_port, control_tcp_port)
        except OSError as error:
            print(f"no farm: {error}", file=sys.stderr, flush=True)
        time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main()
