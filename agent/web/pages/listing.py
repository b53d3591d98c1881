"""A list on a page: what its address asks for, and the addresses of its other orders, filters and pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The order and the filters of a list."""

    path: str
    sort: str
    descending: bool = False
    filters: Mapping[str, tuple[str, ...]]
    """The filters that are set, as they stand in the address."""
    first: frozenset[str] = frozenset()
    """Columns that are read from their highest value first."""

    def url(self, path: str | None = None, **changes: str | tuple[str, ...] | None) -> str:
        """The address of this list, or of its part at `path`, with some parameters changed; None takes one out."""
        return self._address(path or self.path, changes)

    def sort_url(self, key: str) -> str:
        """The address of this list in the order of `key`; the other way round when that is its order already."""
        descending = (key in self.first) if key != self.sort else not self.descending
        return self._address(self.path, self._order(key, descending))

    def direction(self, key: str) -> str:
        """For `aria-sort`; empty when `key` is not the order."""
        if key != self.sort:
            return ""
        return "descending" if self.descending else "ascending"

    def _address(self, path: str, changes: Mapping[str, str | tuple[str, ...] | None]) -> str:
        given = {**self.filters, **self._order(self.sort, self.descending), **changes}
        query = urlencode({name: value for name, value in given.items() if value}, doseq=True)
        return f"{path}?{query}" if query else path

    @staticmethod
    def _order(key: str, descending: bool) -> dict[str, str | tuple[str, ...] | None]:
        return {"sort": key, "order": "desc" if descending else None}
