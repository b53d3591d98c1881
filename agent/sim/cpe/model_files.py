"""Data models on disk: GenieACS' CSV export of a device, and the package's own gzipped TSV made from it.

The TSV: lines `#key<TAB>value` for the origin, then `name<TAB>writable (0 or 1)<TAB>type<TAB>value`, the type empty for
an object; in values, backslash, tab, newline and carriage return are `\\\\`, `\\t`, `\\n`, `\\r`.

`python -m agent.sim.cpe.model_files EXPORT.csv MODEL.tsv.gz` converts.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import re
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from agent.core.errors import ConfigError
from agent.sim.cpe.model import Model, Node, Origin
from agent.sim.cpe.values import type_named

MODELS = ("tr098", "tr181")
_NOT_THE_DEVICES = ("DeviceID.", "Events.", "Tags.", "VirtualParameters.")
# Whose device it was, is nobody's business: these are set for each CPE anyway, or stay empty.
_LEFT_EMPTY = re.compile(
    r"\w+\.ManagementServer\.(URL|Username|Password|ConnectionRequest\w+|STUN(Username|Password))|.*\.Password"
)
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r"[\\\t\n\r]")
_UNESCAPED = re.compile(r"\\(.)")
_UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


def load_model(name: str, *, leaves: int | None = None) -> Model:
    """The model `tr098` or `tr181`, or the file (.csv or .tsv.gz) of that path, limited to `leaves` parameters.

    ConfigError when there is none, or it makes no sense. It takes some 30 ms: load it once and share it."""
    if name in MODELS:
        data = resources.files("agent.sim.cpe").joinpath("models", f"{name}.tsv.gz").read_bytes()
        model = read_tsv(name, data)
    else:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"no data model {name!r}: one of {', '.join(MODELS)}, or a file, is wanted")
        model = read_csv(path) if path.suffix == ".csv" else read_tsv(path.name, path.read_bytes())
    return model if leaves is None else model.limited(leaves)


def read_csv(path: Path) -> Model:
    """A device as GenieACS exports it; its own DeviceID, Events, Tags and VirtualParameters are left out."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    told = {row["Parameter"]: row["Value"] for row in rows}
    requests_at = next((value for name, value in told.items() if name.endswith(".ConnectionRequestURL")), "")
    try:
        origin = Origin(
            manufacturer=told["DeviceID.Manufacturer"],
            oui=told["DeviceID.OUI"],
            product_class=told["DeviceID.ProductClass"],
            serial_number=told["DeviceID.SerialNumber"],
            address=urlsplit(requests_at).hostname or "192.0.2.1",
        )
    except KeyError as error:
        raise ConfigError(f"{path}: no row {error}") from error
    return Model(path.stem, origin, _nodes(rows))


def _nodes(rows: list[dict[str, str]]) -> Iterator[Node]:
    for row in rows:
        name, writable = row["Parameter"], row["Writable"] == "true"
        if f"{name}.".startswith(_NOT_THE_DEVICES):
            continue
        if row["Object"] == "true":
            yield Node(name + ".", writable, None, "")
        else:
            value = "" if _LEFT_EMPTY.fullmatch(name) else row["Value"]
            yield Node(name, writable, type_named(row["Value type"] or "string"), value)


def render_tsv(model: Model) -> bytes:
    """The model as the package keeps it; the same model gives the same bytes."""
    lines = [f"#{key}\t{value}" for key, value in dataclasses.asdict(model.origin).items()]
    for name in model.under(""):
        node = model.nodes[name]
        value = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], node.value)
        lines.append(f"{name}\t{int(node.writable)}\t{node.kind or ''}\t{value}")
    return gzip.compress("\n".join(lines).encode(), mtime=0)


def read_tsv(name: str, data: bytes) -> Model:
    """What `render_tsv` made; ConfigError when it is something else."""
    told: dict[str, str] = {}
    nodes = []
    try:
        for line in gzip.decompress(data).decode().split("\n"):
            if line.startswith("#"):
                key, value = line[1:].split("\t")
                told[key] = value
                continue
            path, writable, kind, value = line.split("\t")
            if "\\" in value:
                value = _UNESCAPED.sub(lambda found: _UNESCAPES[found[1]], value)
            nodes.append(Node(path, writable == "1", type_named(kind) if kind else None, value))
        return Model(name, Origin(**told), nodes)
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise ConfigError(f"{name} is no data model: {error!r}") from error


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(render_tsv(read_csv(Path(sys.argv[1]))))
