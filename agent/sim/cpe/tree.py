"""The parameters of one CPE: a shared model, and what is different on this CPE (copy-on-write)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from agent.sim.cpe.identity import Identity
from agent.sim.cpe.model import Model, Node
from agent.sim.cpe.values import ValueType, empty_value

_Kept = TypeVar("_Kept")
_ACCESS = ("Subscriber",)
_FORCED = ("ManagementServer.ConnectionRequestURL", "DeviceInfo.SoftwareVersion", "DeviceInfo.ProvisioningCode")
_ADDRESS = re.compile(r".*\.(ExternalIPAddress|IP\.Interface\.\d+\.IPv4Address\.\d+\.IPAddress)")
_SECRETS = ("ManagementServer.Password", "ManagementServer.ConnectionRequestPassword", "ManagementServer.STUNPassword")
MOST_ADDED_NODES = 50_000


class ParameterTree:
    """Reads and changes; knows nothing of RPCs. Names of objects end in a dot.

    `factory` is what this CPE has instead of the model's values, also after a factory reset, such as the ACS's URL."""

    def __init__(self, model: Model, identity: Identity, factory: Mapping[str, str]) -> None:
        self.model = model
        self.identity = identity
        self._factory = {name: value for name, value in factory.items() if name in model.nodes}
        self._secrets = frozenset(model.root + each for each in _SECRETS)
        self.reset()

    def reset(self) -> None:
        """As it left the factory: values, instances, attributes and instance numbers."""
        self._values: dict[str, str] = {}
        self._added: dict[str, Node] = {}
        self._deleted: set[str] = set()
        self._last_instance: dict[str, int] = {}
        self._notifications: dict[str, int] = {}
        self._access: dict[str, tuple[str, ...]] = {}

    @property
    def root(self) -> str:
        return self.model.root

    def node(self, name: str) -> Node | None:
        """A parameter or object that exists on this CPE; its `value` is the model's, see `value`."""
        if (added := self._added.get(name)) is not None:
            return added
        node = self.model.nodes.get(name)
        return None if node is None or self._is_deleted(name) else node

    def _is_deleted(self, name: str) -> bool:
        return bool(self._deleted) and any(name.startswith(each) for each in self._deleted)

    def value(self, name: str) -> str:
        """The value of a parameter that exists; KeyError for others."""
        if (changed := self._values.get(name)) is not None:
            return changed
        if (own := self._factory.get(name)) is not None:
            return own
        node = self._added[name] if name in self._added else self.model.nodes[name]
        return self.identity.personal(node.value) if name in self.model.personal else node.value

    def told_value(self, name: str) -> str:
        """What the CPE tells when it is asked: passwords read as empty (TR-098 and TR-181, ManagementServer)."""
        return "" if name in self._secrets else self.value(name)

    def get(self, below_root: str, default: str = "") -> str:
        """The value of `root + below_root`, or the default when this CPE has no such parameter."""
        name = self.root + below_root
        return self.value(name) if self.node(name) is not None else default

    def set_value(self, name: str, value: str) -> None:
        """Whether it is writable and valid is for the caller to know."""
        self._values[name] = value

    def put(self, below_root: str, value: str) -> bool:
        """Set `root + below_root` if this CPE has it; whether the value is another one now."""
        name = self.root + below_root
        if self.node(name) is None or self.value(name) == value:
            return False
        self._values[name] = value
        return True

    def under(self, path: str) -> Iterator[str]:
        """The object `path` itself and every name below; all names for an empty path."""
        for name in self.model.under(path):
            if not self._is_deleted(name):
                yield name
        for name in self._added:
            if name.startswith(path):
                yield name

    def parameters_under(self, path: str) -> Iterator[str]:
        """Names of parameters at or below `path`, which may be a parameter, a partial path, or empty."""
        if path and not path.endswith("."):
            yield path
            return
        for name in self.under(path):
            if not name.endswith("."):
                yield name

    def children(self, path: str) -> Iterator[str]:
        """The names directly below an object; the root for an empty path."""
        for name in self.model.children(path):
            if not self._is_deleted(name):
                yield name
        for name in self._added:
            if name != path and name.startswith(path) and "." not in name[len(path) :].rstrip("."):
                yield name

    def is_table(self, path: str) -> bool:
        """Whether AddObject makes an instance in `path`."""
        node = self.node(path)
        if node is None or node.kind is not None or not node.writable or _is_instance(path):
            return False
        # Some devices call every object writable: what has anything but instances in it is no table.
        return all(_is_instance(each) for each in self.children(path))

    def is_deletable(self, path: str) -> bool:
        """Whether DeleteObject removes `path`."""
        node = self.node(path)
        return node is not None and node.kind is None and node.writable and _is_instance(path)

    def add_instance(self, table: str) -> int:
        """A new instance in a table, with the parameters of the table's first instance; its number was never used.

        ValueError when the CPE has no room for more."""
        template = self._template(table)
        number = max(self._last_instance.get(table, 0), *self._numbers(self.model.children(table)), 0) + 1
        self._last_instance[table] = number
        path = f"{table}{number}."
        added = {path: Node(path, True, None, "")}
        for name in self.model.under(template) if template else ():
            rest = name[len(template) :]
            # What is below a table in the template belongs to the template's own instances.
            if rest and not any(part.isdigit() for part in rest.split(".")):
                node = self.model.nodes[name]
                added[path + rest] = Node(path + rest, node.writable, node.kind, _fresh(node))
        if len(self._added) + len(added) > MOST_ADDED_NODES:
            raise ValueError("no room for another instance")
        self._added.update(added)
        self._count(table)
        return number

    def delete_instance(self, path: str) -> None:
        """Remove an instance and all below it."""
        _forget(self._added, path)
        _forget(self._values, path)
        _forget(self._notifications, path)
        _forget(self._access, path)
        if path in self.model.nodes:
            self._deleted.add(path)
        self._count(_table_of(path))

    def _template(self, table: str) -> str:
        """An instance in the model that shows what a new one in `table` has; empty when there is none."""
        alike = ""
        for part in table.split(".")[:-1]:
            path = f"{alike}{part}."
            if path not in self.model.nodes and part.isdigit():
                path = self._first_instance(alike)
            alike = path
        if found := self._first_instance(alike):
            return found
        kin = "." + table[:-1].rpartition(".")[2] + "."
        return next(
            (found for each in self.model.nodes if each.endswith(kin) and (found := self._first_instance(each))), ""
        )

    def _first_instance(self, table: str) -> str:
        return next((each for each in self.model.children(table) if _is_instance(each)), "")

    @staticmethod
    def _numbers(names: tuple[str, ...]) -> Iterator[int]:
        return (int(name[:-1].rpartition(".")[2]) for name in names if _is_instance(name))

    def _count(self, table: str) -> None:
        counter = table[:-1] + "NumberOfEntries"
        if self.node(counter) is not None:
            self._values[counter] = str(sum(_is_instance(each) for each in self.children(table)))

    def notification(self, name: str) -> int:
        """The Notification attribute: 2 for what every Inform tells unless it was set."""
        is_forced = name[len(self.root) :] in _FORCED or _ADDRESS.fullmatch(name) is not None
        return self._notifications.get(name, 2 if is_forced else 0)

    def access_list(self, name: str) -> tuple[str, ...]:
        return self._access.get(name, _ACCESS)

    def set_notification(self, name: str, notification: int) -> None:
        self._notifications[name] = notification

    def set_access_list(self, name: str, entities: tuple[str, ...]) -> None:
        self._access[name] = entities

    def changes(self) -> Mapping[str, str]:
        """What differs from the factory's state; a configuration file has it in it."""
        return dict(self._values)


def _is_instance(path: str) -> bool:
    return path.endswith(".") and path[:-1].rpartition(".")[2].isdigit()


def _forget(kept: dict[str, _Kept], path: str) -> None:
    for name in [name for name in kept if name.startswith(path)]:
        del kept[name]


def _table_of(instance: str) -> str:
    return instance[: instance[:-1].rfind(".") + 1]


def _fresh(node: Node) -> str:
    if node.name.endswith(("Enable", "Enabled")) and node.kind is ValueType.BOOLEAN:
        return "false"
    return empty_value(node.kind) if node.kind is not None else ""
