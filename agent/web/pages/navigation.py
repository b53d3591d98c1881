"""What the navigation shows, in its order. Automation, Campaigns and PON get a group of their own when they come."""

from __future__ import annotations

from dataclasses import dataclass

from agent.store.rows import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One page that the navigation leads to."""

    label: str
    path: str
    icon: str
    """Name of a symbol in static/icons.svg."""
    role: Role = Role.VIEWER
    """The least role that the entry is shown to."""

    def leads_to(self, path: str) -> bool:
        """Whether the page at `path` belongs to this entry."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Entries that belong together; the first group has no label."""

    label: str
    entries: tuple[Entry, ...]


GROUPS = (
    Group(
        label="",
        entries=(
            Entry(label="Overview", path="/", icon="overview"),
            Entry(label="Alerts", path="/alerts", icon="alert"),
        ),
    ),
    Group(label="LTE", entries=(Entry(label="Modems", path="/modems", icon="modem"),)),
    Group(
        label="TR-069",
        entries=(
            Entry(label="Devices", path="/devices", icon="device"),
            Entry(label="Sessions", path="/sessions", icon="session"),
            Entry(label="Faults", path="/faults", icon="fault"),
            Entry(label="Files", path="/files", icon="file"),
        ),
    ),
    Group(
        label="System",
        entries=(
            Entry(label="Audit", path="/audit", icon="audit", role=Role.ADMIN),
            Entry(label="Operators", path="/operators", icon="operator", role=Role.ADMIN),
            Entry(label="Settings", path="/settings", icon="settings", role=Role.ADMIN),
        ),
    ),
)


def groups_for(role: Role, served: frozenset[str]) -> tuple[Group, ...]:
    """The groups with what `role` may see of the pages that are `served`; empty groups are left out."""
    shown = (
        Group(
            label=group.label,
            entries=tuple(each for each in group.entries if role.allows(each.role) and each.path in served),
        )
        for group in GROUPS
    )
    return tuple(group for group in shown if group.entries)
