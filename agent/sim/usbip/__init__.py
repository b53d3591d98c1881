"""Emulated modems as USB devices of a virtual machine, over USB/IP (the kernel's usbip_protocol.rst)."""
