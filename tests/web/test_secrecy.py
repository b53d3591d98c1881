"""What is a secret, and what a cursor is."""

from __future__ import annotations

import pytest

from agent.web.cursors import parse_cursor, render_cursor
from agent.web.errors import ApiError
from agent.web.secrecy import hide, hide_arguments, hide_result, is_secret

WLAN = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1"


@pytest.mark.parametrize(
    "path",
    [
        f"{WLAN}.KeyPassphrase",
        f"{WLAN}.PreSharedKey.1.PreSharedKey",
        f"{WLAN}.WEPKey.1.WEPKey",
        f"{WLAN}.X_HW_WPS.DevicePassword",
        "Device.ManagementServer.ConnectionRequestPassword",
        "Device.Services.VoiceService.1.SIP.Client.1.AuthPassword",
        "Device.WiFi.AccessPoint.1.Security.RadiusSecret",
        "Device.WiFi.AccessPoint.1.WPS.PIN",
        "Device.Users.User.1.password2",
    ],
)
def test_passwords_are_secrets(path: str) -> None:
    assert is_secret(path)
    assert hide(path, "geheim") == "***"
    assert hide(path, "") == ""


@pytest.mark.parametrize(
    "path",
    [
        f"{WLAN}.SSID",
        "Device.ManagementServer.ParameterKey",
        "Device.ManagementServer.PasswordChangeable",
        "Device.WiFi.AccessPoint.1.WPS.PINLength",
        "Device.NAT.PortMapping.1.Enable",
        "",
    ],
)
def test_other_values_are_not(path: str) -> None:
    assert hide(path, "shown") == "shown"


def test_arguments_and_results_are_shown_without_them() -> None:
    values = [{"name": f"{WLAN}.KeyPassphrase", "value": "geheim"}, {"name": f"{WLAN}.SSID", "value": "home"}, "odd"]
    hidden = hide_arguments("setParameterValues", {"values": values, "parameter_key": "k"})
    assert [each["value"] for each in hidden["values"]] == ["***", "home"]
    assert hidden["parameter_key"] == "k"
    assert hide_arguments("download", {"url": "u", "password": "geheim"}) == {"url": "u", "password": "***"}
    assert hide_arguments("reboot", {}) == {}
    assert hide_result({"values": {f"{WLAN}.KeyPassphrase": "geheim"}, "count": 1}) == {
        "values": {f"{WLAN}.KeyPassphrase": "***"},
        "count": 1,
    }
    for result in (None, {}, {"values": 5}, {"status": 0}):
        assert hide_result(result) == result


@pytest.mark.parametrize("parts", [("",), ("a", "b"), ('"\\', "ü\x00\N{GRINNING FACE}", "x" * 1000)])
def test_a_cursor_comes_back_as_it_went(parts: tuple[str, ...]) -> None:
    text = render_cursor(*parts)
    assert text.isascii()
    assert not set(text) & set("+/=&?#% ")
    assert parse_cursor(text, len(parts)) == parts
    with pytest.raises(ApiError):
        parse_cursor(text, len(parts) + 1)


@pytest.mark.parametrize("text", ["", "x", "ü", "W10=", "W1tbW1tbW10", "bnVsbA", "WzFd", "e30", "A" * 5000, "\x00"])
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(ApiError):
        parse_cursor(text, 1)
