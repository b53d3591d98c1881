"""Messages of all kinds for hypothesis, made from the classes themselves."""

from __future__ import annotations

import dataclasses
import types
from datetime import UTC, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from agent.acs.identity import DeviceIdentity
from agent.acs.soap import messages as soap
from agent.acs.soap.value_types import WIRE_TYPES

# All that XML can carry.
LETTERS = st.characters(
    exclude_categories=["Cs"],
    exclude_characters=[*(chr(code) for code in range(32) if chr(code) not in "\t\n\r"), "\ufffe", "\uffff"],
)
VERBATIM = st.text(LETTERS, max_size=20)
TOKENS = VERBATIM.map(str.strip)
SOMETHING = TOKENS.filter(bool)
NUMBERS = st.integers(0, 2**32 - 1)
# The year 1 is the unknown time.
TIMES = st.datetimes(min_value=datetime(2, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # its zone is beside it

_VERBATIM_ATTRIBUTES = {"username", "password", "fault_string", "string", "user_message", "arg"}
_BY_CLASS: dict[type, st.SearchStrategy[Any]] = {
    DeviceIdentity: st.builds(
        DeviceIdentity,
        oui=st.from_regex(r"[0-9A-F]{6}", fullmatch=True),
        product_class=st.text(st.characters(categories=("L", "N", "P")), max_size=64),
        serial_number=st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=64),
        manufacturer=st.text(st.characters(categories=("L", "N", "P")), max_size=64),
    ),
    soap.Event: st.builds(
        soap.Event, code=SOMETHING.map(lambda text: " ".join(text.split())).filter(bool), command_key=TOKENS
    ),
    soap.ParameterValue: st.sampled_from(sorted(WIRE_TYPES)).flatmap(
        lambda type_: st.builds(
            soap.ParameterValue,
            name=SOMETHING,
            value=VERBATIM if type_ == "string" else TOKENS,
            type=st.just(type_),
        )
    ),
    soap.ParameterInfo: st.builds(soap.ParameterInfo, name=SOMETHING, writable=st.booleans()),
    soap.FileTypeArgument: st.builds(soap.FileTypeArgument, name=TOKENS, value=VERBATIM),
    soap.UnknownRPC: st.builds(soap.UnknownRPC, name=st.from_regex(r"X_[0-9A-F]{6}_[A-Za-z]{1,20}", fullmatch=True)),
    soap.SoapFaultCode: st.sampled_from(soap.SoapFaultCode),
}


def of_class(cls: type) -> st.SearchStrategy[Any]:
    """Any instance of a message or structure."""
    if cls in _BY_CLASS:
        return _BY_CLASS[cls]
    hints = get_type_hints(cls)
    return st.builds(
        cls, **{field.name: _of_field(cls, field.name, hints[field.name]) for field in dataclasses.fields(cls)}
    )


def _of_field(cls: type, name: str, hint: Any) -> st.SearchStrategy[Any]:
    if name == "fault_code":
        # An empty one is read as "0".
        return SOMETHING
    if hint is str and name in _VERBATIM_ATTRIBUTES:
        return VERBATIM
    if cls in (soap.InstallOperation, soap.UpdateOperation) and name in _VERBATIM_ATTRIBUTES:
        return st.none() | VERBATIM
    return _of_hint(hint)


def _of_hint(hint: Any) -> st.SearchStrategy[Any]:
    if hint is str:
        return TOKENS
    if hint is bool:
        return st.booleans()
    if hint is int:
        return NUMBERS
    if hint is datetime:
        return TIMES
    if hint is type(None):
        return st.none()
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([_of_hint(each) for each in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(_of_hint(get_args(hint)[0]), max_size=4).map(tuple)
    return of_class(hint)


ENVELOPES = st.builds(
    soap.Envelope,
    message=st.none() | st.one_of([of_class(cls) for cls in get_args(soap.Message)]),
    id=st.none() | SOMETHING,
    version=st.sampled_from(soap.CwmpVersion),
    hold_requests=st.booleans(),
    no_more_requests=st.booleans(),
    session_timeout=st.none() | NUMBERS,
    supported_versions=st.lists(st.sampled_from(["1.0", "1.1", "1.2", "1.3", "1.4"]), max_size=5).map(tuple),
    use_version=st.none() | st.sampled_from(["1.0", "1.4"]),
)
