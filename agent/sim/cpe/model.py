"""A data model: every parameter and object of a device as it left the factory. Immutable, shared by all CPEs of it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.core.errors import ConfigError
from agent.sim.cpe.values import ValueType

MAC_ADDRESS = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![\w:])")
NO_MAC_ADDRESS = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Node:
    """A parameter, or an object (`kind` is None and the name ends in a dot)."""

    name: str
    writable: bool
    kind: ValueType | None
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The device that the model was taken from; a CPE replaces these with its own where they occur in values."""

    manufacturer: str
    oui: str
    product_class: str
    serial_number: str
    address: str


class Model:
    """A tree of nodes under one root, `InternetGatewayDevice.` or `Device.`."""

    def __init__(self, name: str, origin: Origin, nodes: Iterable[Node]) -> None:
        """`nodes` in any order; objects that are missing above a node are added. ConfigError without one root."""
        self.name = name
        self.origin = origin
        found = {node.name: node for node in nodes}
        for each in [name for name in found if _parent(name) not in found]:
            above = _parent(each)
            while above and above not in found:
                found[above] = Node(above, False, None, "")
                above = _parent(above)
        roots = [name for name in found if _parent(name) == ""]
        if len(roots) != 1 or not roots[0].endswith("."):
            raise ConfigError(f"data model {name}: one root object is wanted, not {sorted(roots)}")
        self.root = roots[0]
        self.nodes: Mapping[str, Node] = found
        self._names = tuple(sorted(found))
        children: dict[str, list[str]] = {}
        for each in self._names:
            children.setdefault(_parent(each), []).append(each)
        self._children = {path: tuple(below) for path, below in children.items()}
        self.personal = frozenset(node.name for node in found.values() if self._is_personal(node.value))

    def _is_personal(self, value: str) -> bool:
        origin = self.origin
        if origin.serial_number[-8:] in value or origin.address in value:
            return True
        return any(mac != NO_MAC_ADDRESS for mac in MAC_ADDRESS.findall(value))

    @property
    def leaf_count(self) -> int:
        """How many parameters there are, objects not counted."""
        return sum(node.kind is not None for node in self.nodes.values())

    def under(self, path: str) -> Sequence[str]:
        """The object `path` and all names below it; all names for an empty path."""
        if not path:
            return self._names
        # A subtree is contiguous: "/" is the character after ".".
        return self._names[bisect_left(self._names, path) : bisect_left(self._names, path[:-1] + "/")]

    def children(self, path: str) -> tuple[str, ...]:
        """The names directly below the object `path`; the root for an empty path."""
        return self._children.get(path, ())

    def limited(self, leaves: int) -> Model:
        """The same model with at most that many parameters: those that matter to an ACS first, always the same ones."""
        ranked = sorted(
            (node for node in self.nodes.values() if node.kind is not None),
            key=lambda node: (_rank(node), node.name.count("."), node.name),
        )
        kept = {node.name: node for node in ranked[:leaves]}
        for name in list(kept):
            above = _parent(name)
            while above and above not in kept:
                kept[above] = self.nodes[above]
                above = _parent(above)
        return Model(self.name, self.origin, kept.values())


_IMPORTANT = tuple(
    re.compile(pattern)
    for pattern in (
        r"\w+\.ManagementServer\.\w+",
        r"\w+\.(DeviceSummary|RootDataModelVersion)",
        r"\w+\.DeviceInfo\.(?!DeviceLog)\w+",
        r".*\.(ExternalIPAddress|SSID|IPAddress)",
        r"\w+\.Time\.\w+",
        r".*\.(MACAddress|KeyPassphrase|Channel|HostName)",
        r".*\.(Enable|Status)",
    )
)


def _rank(node: Node) -> int:
    if len(node.value) > 1000:
        return len(_IMPORTANT) + 1
    return next((rank for rank, each in enumerate(_IMPORTANT) if each.fullmatch(node.name)), len(_IMPORTANT))


def _parent(name: str) -> str:
    """`A.B.` of both `A.B.c` and `A.B.C.`; empty for the root."""
    return name[: name.rstrip(".").rfind(".") + 1]
