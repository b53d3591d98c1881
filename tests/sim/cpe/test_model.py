"""Data models: what is in them, and that CPEs share them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.sim.cpe.identity import MOST_CPES, Identity
from agent.sim.cpe.model import Model, Node
from agent.sim.cpe.model_files import load_model, read_csv, read_tsv, render_tsv
from agent.sim.cpe.tree import ParameterTree
from agent.sim.cpe.values import ValueType, is_valid

_HEADER = (
    "Parameter,Object,Object timestamp,Writable,Writable timestamp,Value,Value type,Value timestamp,Notification,"
    "Notification timestamp,Access list,Access list timestamp"
)

_TR181 = load_model("tr181")


def _tree(model: Model, number: int = 0) -> ParameterTree:
    return ParameterTree(model, Identity.of(model.origin, number), {})


def test_the_models_are_whole_devices(tr098: Model, tr181: Model) -> None:
    assert (tr098.root, tr098.leaf_count, len(tr098.nodes)) == ("InternetGatewayDevice.", 3147, 3790)
    assert (tr181.root, tr181.leaf_count, len(tr181.nodes)) == ("Device.", 5420, 6400)
    assert not [name for name in tr098.nodes if name.startswith(("DeviceID", "Events", "Tags", "VirtualParameters"))]


def test_nobodys_credentials_are_in_the_models(tr098: Model, tr181: Model) -> None:
    secret = re.compile(r".*\.(Password|ConnectionRequestPassword|ConnectionRequestUsername|ConnectionRequestURL|URL)")
    for model in (tr098, tr181):
        assert [n.name for n in model.nodes.values() if "ManagementServer" in n.name and secret.fullmatch(n.name)]
        for node in model.nodes.values():
            if "ManagementServer." in node.name and secret.fullmatch(node.name):
                assert node.value == "", node.name


def test_a_limited_model_keeps_what_an_acs_asks_first(tr098: Model, tr181: Model) -> None:
    for model in (tr098, tr181):
        for leaves in (130, 2400):
            limited = model.limited(leaves)
            assert limited.leaf_count == leaves
            for name in ("ManagementServer.ConnectionRequestURL", "DeviceInfo.SoftwareVersion", "DeviceInfo.UpTime"):
                assert model.root + name in limited.nodes
            assert any(name.endswith(".SSID") for name in limited.nodes)
            # Every object above a node is there.
            assert sum(len(limited.children(path)) for path in limited.nodes) == len(limited.nodes) - 1


def test_a_subtree_is_what_begins_with_its_path(tr181: Model) -> None:
    for path in ("Device.WiFi.SSID.1.", "Device.WiFi.", "Device."):
        assert set(tr181.under(path)) == {name for name in tr181.nodes if name.startswith(path)}
    assert "Device.WiFi.SSID.10." not in tr181.under("Device.WiFi.SSID.1.")


def test_files_give_back_what_was_written(tmp_path: Path, small: Model) -> None:
    again = read_tsv("again", render_tsv(small))
    assert again.nodes == small.nodes
    assert again.origin == small.origin
    assert render_tsv(again) == render_tsv(small)
    (tmp_path / "model.tsv.gz").write_bytes(render_tsv(small))
    assert load_model(str(tmp_path / "model.tsv.gz"), leaves=10).leaf_count == 10


def test_a_genieacs_export_is_read(tmp_path: Path) -> None:
    rows = [
        _HEADER,
        *(
            f'DeviceID.{name},false,t,false,t,"{value}",xsd:string,t,,,,'
            for name, value in (
                ("Manufacturer", "M"),
                ("OUI", "0A0B0C"),
                ("ProductClass", "P"),
                ("SerialNumber", "S12345678"),
            )
        ),
        'Device,true,t,false,t,"",,,,,,',
        'Device.A.B,false,t,true,t,"two\nlines, one\ttab, a \\ and ""quotes""",xsd:string,t,,,,',
        'Device.A.N,false,t,false,t,"7",xsd:unsignedInt,t,,,,',
        'Tags.x,false,t,true,t,"true",xsd:boolean,t,,,,',
    ]
    path = tmp_path / "export.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    model = read_csv(path)
    assert set(model.nodes) == {"Device.", "Device.A.", "Device.A.B", "Device.A.N"}
    assert model.nodes["Device.A.B"] == Node(
        "Device.A.B", True, ValueType.STRING, 'two\nlines, one\ttab, a \\ and "quotes"'
    )
    assert read_tsv("x", render_tsv(model)).nodes == model.nodes


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.tsv.gz").write_bytes(b"no gzip")
    for name in ("tr069", str(tmp_path / "bad.tsv.gz")):
        with pytest.raises(ConfigError):
            load_model(name)


def test_cpes_of_a_model_differ_and_are_the_same_each_time(tr181: Model) -> None:
    trees = [_tree(tr181, number) for number in (0, 1, 255, 256, MOST_CPES - 1)]
    for name in ("Device.DeviceInfo.SerialNumber", "Device.Ethernet.Interface.1.MACAddress"):
        assert len({tree.value(name) for tree in trees}) == len(trees)
    addresses = {tree.value("Device.IP.Interface.6.IPv4Address.1.IPAddress") for tree in trees}
    assert len(addresses) == len(trees)
    # The interfaces of one CPE differ as those of the model do.
    macs = [name for name in tr181.personal if name.endswith(("MACAddress", "BSSID"))]
    assert len({trees[3].value(name) for name in macs}) == len({tr181.nodes[name].value for name in macs})
    again = Identity.of(tr181.origin, 1, "seed")
    assert again == Identity.of(tr181.origin, 1, "seed")
    assert again.serial_number != Identity.of(tr181.origin, 1, "other").serial_number
    assert again.device_id == f"1C61B4-Device2-{again.serial_number}"
    with pytest.raises(ConfigError):
        Identity.of(tr181.origin, MOST_CPES)


def test_a_change_is_the_cpes_own(tr181: Model) -> None:
    one, other = _tree(tr181, 1), _tree(tr181, 2)
    name = "Device.WiFi.SSID.1.SSID"
    before = other.value(name)
    one.set_value(name, "mine")
    one.delete_instance("Device.WiFi.SSID.3.")
    added = one.add_instance("Device.Bridging.Bridge.")
    assert (one.value(name), other.value(name), tr181.nodes[name].value) == ("mine", before, before)
    assert one.node("Device.WiFi.SSID.3.SSID") is None
    assert other.node("Device.WiFi.SSID.3.SSID") is not None
    assert other.node(f"Device.Bridging.Bridge.{added}.") is None
    assert "Device.WiFi.SSID.3." not in set(one.under("")) | set(one.children("Device.WiFi.SSID."))
    one.reset()
    assert list(one.under("")) == list(other.under(""))
    assert one.value(name) == before


def test_a_cpe_costs_little_memory(tr181: Model) -> None:
    tree = _tree(tr181, 5)
    kept = [value for value in vars(tree).values() if not isinstance(value, (Model, Identity))]
    assert sum(sys.getsizeof(each) for each in kept) < 2000


_TABLES = ["Device.Bridging.Bridge.", "Device.Bridging.Bridge.1.Port.", "Device.WiFi.SSID.", "Device.NAT.PortMapping."]


@hypothesis.given(st.lists(st.tuples(st.sampled_from(_TABLES), st.booleans(), st.integers(0, 20)), max_size=12))
@hypothesis.settings(max_examples=25)
def test_the_tree_is_whole_after_any_changes(changes: list[tuple[str, bool, int]]) -> None:
    tree = _tree(_TR181)
    numbers: dict[str, set[int]] = {table: set() for table in _TABLES}
    for table, is_added, choice in changes:
        instances = [each for each in tree.children(table) if tree.is_deletable(each)]
        if is_added and tree.is_table(table):
            number = tree.add_instance(table)
            assert number not in numbers[table]
            assert f"{table}{number}." in set(tree.children(table))
            numbers[table].add(number)
        elif instances and not is_added:
            tree.delete_instance(instances[choice % len(instances)])
    walked, left = [], [""]
    while left:
        found = list(tree.children(left.pop()))
        walked += found
        left += [each for each in found if each.endswith(".")]
    assert sorted(walked) == sorted(tree.under(""))
    for name in walked:
        node = tree.node(name)
        assert node is not None
        assert node.kind is None or tree.value(name) is not None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (ValueType.BOOLEAN, ["0", "1", "true", "false"], ["", "True", "yes"]),
        (ValueType.UNSIGNED_INT, ["0", "4294967295"], ["-1", "4294967296", "", "1.5", "x"]),
        (ValueType.INT, ["-2147483648", "2147483647"], ["2147483648", ""]),
        (ValueType.UNSIGNED_LONG, ["18446744073709551615"], ["18446744073709551616"]),
        (ValueType.LONG, ["-9223372036854775808"], ["9223372036854775808"]),
        (
            ValueType.DATE_TIME,
            ["0001-01-01T00:00:00Z", "2026-11-27T10:00:00.5+01:00"],
            ["", "2026-13-01T00:00:00Z", "now"],
        ),
        (ValueType.BASE64, ["", "QUJD"], ["QUJ", "?"]),
        (ValueType.HEX_BINARY, ["", "0aFF"], ["0", "0g"]),
        (ValueType.STRING, ["", "x"], []),
    ],
)
def test_values_are_of_their_types(kind: ValueType, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not is_valid(kind, text)] == []
    assert [text for text in bad if is_valid(kind, text)] == []
