"""Numbers and texts of `+CME ERROR` (3GPP TS 27.007 §9.2) and `+CMS ERROR` (3GPP TS 27.005 §3.2.5)."""

from __future__ import annotations

import re

from agent.core.errors import CmeError, CmsError

CME_TEXTS = {
    0: "phone failure",
    1: "no connection to phone",
    3: "operation not allowed",
    4: "operation not supported",
    5: "PH-SIM PIN required",
    6: "PH-FSIM PIN required",
    7: "PH-FSIM PUK required",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "SIM wrong",
    16: "incorrect password",
    17: "SIM PIN2 required",
    18: "SIM PUK2 required",
    20: "memory full",
    21: "invalid index",
    22: "not found",
    23: "memory failure",
    24: "text string too long",
    25: "invalid characters in text string",
    26: "dial string too long",
    27: "invalid characters in dial string",
    30: "no network service",
    31: "network timeout",
    32: "network not allowed - emergency calls only",
    40: "network personalization PIN required",
    41: "network personalization PUK required",
    42: "network subset personalization PIN required",
    43: "network subset personalization PUK required",
    44: "service provider personalization PIN required",
    45: "service provider personalization PUK required",
    46: "corporate personalization PIN required",
    47: "corporate personalization PUK required",
    50: "incorrect parameters",
    100: "unknown",
    103: "illegal MS",
    106: "illegal ME",
    107: "GPRS services not allowed",
    111: "PLMN not allowed",
    112: "location area not allowed",
    113: "roaming not allowed in this location area",
    132: "service option not supported",
    133: "requested service option not subscribed",
    134: "service option temporarily out of order",
    148: "unspecified GPRS error",
    149: "PDP authentication failure",
    150: "invalid mobile class",
}

CMS_TEXTS = {
    300: "ME failure",
    301: "SMS service of ME reserved",
    302: "operation not allowed",
    303: "operation not supported",
    304: "invalid PDU mode parameter",
    305: "invalid text mode parameter",
    310: "SIM not inserted",
    311: "SIM PIN required",
    312: "PH-SIM PIN required",
    313: "SIM failure",
    314: "SIM busy",
    315: "SIM wrong",
    316: "SIM PUK required",
    317: "SIM PIN2 required",
    318: "SIM PUK2 required",
    320: "memory failure",
    321: "invalid memory index",
    322: "memory full",
    330: "SMSC address unknown",
    331: "no network service",
    332: "network timeout",
    340: "no +CNMA acknowledgement expected",
    500: "unknown error",
}

_TEXT_LIMIT = 120


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("(u)sim", "sim"))


_CME_CODES = {_key(text): code for code, text in CME_TEXTS.items()}
_CMS_CODES = {_key(text): code for code, text in CMS_TEXTS.items()}


def _resolve(detail: str, texts: dict[int, str], codes: dict[str, int]) -> tuple[int | None, str]:
    detail = detail.strip()[:_TEXT_LIMIT]
    if re.fullmatch(r"[0-9]{1,5}", detail):
        code = int(detail)
        return code, texts.get(code, f"error {code}")
    return codes.get(_key(detail)), detail or "error without a reason"


def cme_error(command: str, detail: str) -> CmeError:
    """The error of `+CME ERROR: <detail>`, numeric or verbose; code None for a text that is not known."""
    code, text = _resolve(detail, CME_TEXTS, _CME_CODES)
    return CmeError(command, code, text)


def cms_error(command: str, detail: str) -> CmsError:
    """The error of `+CMS ERROR: <detail>`, numeric or verbose; code None for a text that is not known."""
    code, text = _resolve(detail, CMS_TEXTS, _CMS_CODES)
    return CmsError(command, code, text)
