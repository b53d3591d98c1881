"""An emulated Quectel EC25: its firmware, its AT ports and its QMI port. Touches neither files nor namespaces."""
