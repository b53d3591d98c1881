"""The summary of real devices of both data models, and of devices that tell little or nonsense."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from agent.acs.summary import HOSTS_MOST, summarise
from agent.sim.cpe.model_files import load_model


@cache
def values_of(name: str) -> dict[str, str]:
    return {node.name: node.value for node in load_model(name).nodes.values() if not node.name.endswith(".")}


def test_a_tr098_gateway() -> None:
    summary = summarise(values_of("tr098"))
    assert (summary.root, summary.model, summary.software_version) == (
        "InternetGatewayDevice.",
        "EG8145V5",
        "V5R020C00S280",
    )
    assert (summary.uptime_seconds, summary.memory_total_bytes, summary.cpu_percent) == (89910, 262144 * 1024, 57)
    up = [wan for wan in summary.wan if wan.up]
    assert [(wan.kind, wan.address, wan.gateway, wan.username) for wan in up] == [
        ("PPP", "192.168.89.198", "192.168.89.1", "admin123"),
        ("IP", "192.168.88.59", "192.168.88.1", None),
    ]
    assert [wan.address for wan in summary.wan if not wan.up] == [None, None]
    (lan,) = summary.lan
    assert (lan.address, lan.dhcp_enabled, lan.dhcp_last) == ("192.168.18.1", True, "192.168.18.254")
    assert [(wifi.ssid, wifi.band, wifi.channel) for wifi in summary.wifi] == [
        ("Anlix-EG8145", "2.4 GHz", 2),
        ("Anlix-EG8145-5G", "5 GHz", 36),
    ]
    assert summary.optical is not None
    assert (summary.optical.rx_power_dbm, summary.optical.tx_power_dbm) == (-3.0, 2.0)
    assert summary.dsl is None


def test_a_tr181_gateway() -> None:
    summary = summarise(values_of("tr181"))
    assert (summary.root, summary.model) == ("Device.", "XX230v")
    (up,) = (wan for wan in summary.wan if wan.up)
    assert (up.name, up.kind, up.address, up.username) == ("pppoe_gpon_2_1", "PPP", "192.168.89.137", "admin123")
    assert up.ipv6_address == "2804:3e0:0:42dc:61a8:e3bb:ecce:7392"
    assert [lan.address for lan in summary.lan] == ["192.168.1.1"], "the bridge is no WAN"
    assert "Device.IP.Interface.1." not in {wan.path for wan in summary.wan}
    assert summary.wifi[2].ssid == "TP-Link_2AC8_5G"
    assert (summary.wifi[2].band, summary.wifi[2].security, summary.wifi[2].clients) == ("5 GHz", "WPA2-Personal", 1)
    assert [host.name for host in summary.hosts] == ["MBP-de-Gaspare"]
    assert summary.optical is not None
    assert summary.optical.rx_power_dbm == -2.5, "tenths of a microwatt"


def test_a_dsl_gateway() -> None:
    line = "InternetGatewayDevice.WANDevice.1.WANDSLInterfaceConfig."
    told = {"Status": "Up", "DownstreamCurrRate": "50000", "UpstreamCurrRate": "10000", "DownstreamNoiseMargin": "85"}
    dsl = summarise({f"{line}{name}": value for name, value in told.items()}).dsl
    assert dsl is not None
    assert (dsl.status, dsl.down_kbps, dsl.up_kbps, dsl.down_margin_db) == ("Up", 50000, 10000, 8.5)


def test_a_device_that_has_told_nothing() -> None:
    summary = summarise({})
    assert summary.root is None
    assert (summary.wan, summary.wifi, summary.optical) == ((), (), None)


def test_interfaces_that_stand_on_each_other_in_a_circle_end() -> None:
    one, two = "Device.IP.Interface.1.", "Device.IP.Interface.2."
    values = {f"{one}LowerLayers": two, f"{two}LowerLayers": f"{one},{two}", "Device.PPP.Interface.1.X": ""}
    assert summarise(values).wan == ()


def test_hosts_are_bounded() -> None:
    values = {f"Device.Hosts.Host.{number}.HostName": "h" for number in range(1, 2000)}
    assert len(summarise(values).hosts) == HOSTS_MOST


words = st.sampled_from(
    [
        "Device",
        "IP",
        "Interface",
        "1",
        "2",
        "LowerLayers",
        "WiFi",
        "SSID",
        "Channel",
        "Optical",
        "RXPower",
        "DSL",
        "Line",
    ]
)


@given(
    st.dictionaries(
        st.lists(words, min_size=2, max_size=5).map(".".join),
        st.one_of(st.text(max_size=8), st.sampled_from(["Device.IP.Interface.1.", "-999999999999999", "1e9", "true"])),
        max_size=30,
    )
)
def test_nothing_that_a_device_tells_breaks_it(values: dict[str, str]) -> None:
    summarise(values)
