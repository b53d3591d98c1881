"""Parameters and texts that are not as they should be, and are understood all the same."""

from __future__ import annotations

import pytest

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from tests.acs.soap.wire import envelope, value, values


def decoded_values(structs: str) -> tuple[soap.ParameterValue, ...]:
    message = decode(values(structs)).message
    assert isinstance(message, soap.GetParameterValuesResponse)
    return message.parameters


# Parameters


def test_a_struct_may_lack_its_value_or_its_name() -> None:
    assert decoded_values(
        value("A", "")
        + value("B", "<Value/>")
        + "<ParameterValueStruct><Value>lost</Value></ParameterValueStruct><ParameterValueStruct/>"
        + value("C", "<Value>c</Value>")
        + value(" ", "<Value>lost too</Value>")
    ) == (
        soap.ParameterValue(name="A", value=""),
        soap.ParameterValue(name="B", value=""),
        soap.ParameterValue(name="C", value="c"),
    )


def test_a_value_may_stand_before_its_name() -> None:
    structs = "<ParameterValueStruct><Value>1</Value><Name>A</Name></ParameterValueStruct>" + value(
        "B", "<Value>2</Value>"
    )

    assert [(each.name, each.value) for each in decoded_values(structs)] == [("A", "1"), ("B", "2")]


def test_a_name_given_twice_is_kept_twice_so_that_the_last_one_counts() -> None:
    read = decoded_values(value("A", "<Value>old</Value>") + value("B", "<Value/>") + value("A", "<Value>new</Value>"))

    assert [each.name for each in read] == ["A", "B", "A"]
    assert {each.name: each.value for each in read}["A"] == "new"


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("", "string"),
        ('xsi:type="xsd:string"', "string"),
        ("xsi:type='xsd:unsignedInt'", "unsignedInt"),
        ('xsi:type="xsd:UnsignedInt "', "unsignedInt"),
        ('xsi:type="boolean"', "boolean"),
        ('xsi:type="foo:dateTime"', "dateTime"),
        ('xsi:type="enc:base64"', "base64"),
        ('xsi:type="xsd:base64Binary"', "base64"),
        ('xsi:type="xsd:hexBinary"', "hexBinary"),
        ('xsi:type="xsd:float"', "string"),
        ('type="xsd:int"', "int"),
        ('xmlns:old="http://www.w3.org/1999/XMLSchema-instance" old:type="xsd:long"', "long"),
        ('xmlns:old="http://www.w3.org/2000/10/XMLSchema-instance" old:type="xsd:unsignedLong"', "unsignedLong"),
        ('xsi:nil="true"', "string"),
        ('other="x" xsi:nil="1" xsi:type="xsd:int"', "int"),
    ],
)
def test_a_type_is_known_by_its_name_alone(attribute: str, expected: str) -> None:
    (read,) = decoded_values(value("A", f"<Value {attribute}>1</Value>"))

    assert (read.value, read.type) == ("1", expected)


def test_white_space_belongs_to_a_string_and_to_nothing_else() -> None:
    read = decoded_values(
        value("\n A\n", '<Value xsi:type="xsd:string"> a\n b </Value>')
        + value("B", '<Value xsi:type="xsd:boolean">\n true </Value>')
    )

    assert [(each.name, each.value) for each in read] == [("A", " a\n b "), ("B", "true")]


def test_a_value_may_be_in_cdata_and_look_like_anything() -> None:
    (read,) = decoded_values(
        value("A", "<Value><![CDATA[<!DOCTYPE html> <b a='1'> & ]]>&lt;end&gt;<!-- x -->.</Value>")
    )

    assert read.value == "<!DOCTYPE html> <b a='1'> & <end>."


def test_names_listed_without_writable_are_not_writable() -> None:
    structs = "".join(
        f"<ParameterInfoStruct><Name>{name}</Name>{writable}</ParameterInfoStruct>"
        for name, writable in (
            ("A.", "<Writable>1</Writable>"),
            ("B", "<Writable> TRUE </Writable>"),
            ("C", ""),
            ("D", "<Writable>perhaps</Writable>"),
        )
    )
    listing = f"<ParameterList>{structs}</ParameterList>"

    message = decode(envelope(f"<cwmp:GetParameterNamesResponse>{listing}</cwmp:GetParameterNamesResponse>")).message

    assert isinstance(message, soap.GetParameterNamesResponse)
    assert [(info.name, info.writable) for info in message.parameters] == [
        ("A.", True),
        ("B", True),
        ("C", False),
        ("D", False),
    ]


# Characters


def test_bytes_of_another_encoding_than_declared_are_understood() -> None:
    structs = value("A", "<Value>Küche</Value>")
    declaration = '<?xml version="1.0" encoding="{}"?>'
    text = values(structs).decode()

    for said, written in (
        ("UTF-8", "latin-1"),
        ("ISO-8859-1", "utf-8"),
        ("x-unheard-of", "utf-8"),
        ("us-ascii", "cp1252"),
    ):
        message = decode(declaration.format(said).encode() + text.encode(written)).message
        assert isinstance(message, soap.GetParameterValuesResponse)
        assert message.parameters[0].value == "Küche"


def test_a_charset_that_is_known_is_used_when_the_bytes_are_no_utf_8() -> None:
    text = values(value("A", "<Value>Кухня</Value>")).decode()
    declared = '<?xml version="1.0" encoding="windows-1251"?>'

    for message in (
        decode(text.encode("cp1251"), charset="windows-1251").message,
        decode((declared + text).encode("cp1251")).message,
        decode(text.encode("utf-8"), charset="windows-1251").message,
    ):
        assert isinstance(message, soap.GetParameterValuesResponse)
        assert message.parameters[0].value == "Кухня"


def test_a_letter_cut_in_two_does_not_spoil_the_others() -> None:
    data = values(value("A", "<Value>Küche Büro</Value>")).replace("ü".encode(), b"\xc3", 1)

    message = decode(data).message

    assert isinstance(message, soap.GetParameterValuesResponse)
    assert message.parameters[0].value == "KÃche Büro"


@pytest.mark.parametrize(
    "illegal", ["\x01", "\x1b", "\x0c", "\ufffe", "&#1;", "&#x1F;", "&#0;", "&#xD800;", "&#x110000;"]
)
def test_an_illegal_character_becomes_a_replacement_character(illegal: str) -> None:
    (read,) = decoded_values(value("A", f"<Value>a{illegal}b &#65;&#x263a;</Value>"))

    assert read.value == "a\ufffdb A☺"
