"""Paths into JSON documents, and what counts as a number (B37, B42)."""

from __future__ import annotations

import pytest

from meters.json_fields import Field, JsonError, look, number, parse_path, pick


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("power", ("power",)),
        ("StatusSNS.ENERGY.Power", ("StatusSNS", "ENERGY", "Power")),
        ("emeters[0].power", ("emeters", 0, "power")),
        ("em:0.a_act_power", ("em:0", "a_act_power")),
        ('["1.8.0"].value', ("1.8.0", "value")),
        ("data['1-0:16.7.0']", ("data", "1-0:16.7.0")),
        ("$.power", ("power",)),
        ("$[2]", (2,)),
        ("[1][0]", (1, 0)),
        ("$", ()),
    ],
)
def test_paths(path: str, steps: tuple[object, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize("path", ["", "  ", "a..b", "a[", "a[x]", "a[-1]", "a.", "a[0", 'a[""]', "a]b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


def test_what_is_not_there_is_unknown() -> None:
    document = {"a": [{"b": 1}], "c": None}
    assert look(document, parse_path("a[0].b")) == 1
    for path in ("a[1].b", "a.b", "c.d", "x", "a[0][0]"):
        assert look(document, parse_path(path)) is None, path


def test_several_fields_with_scales() -> None:
    fields = {"p": Field(parse_path("p_kw"), 1000.0), "e_exp": Field(parse_path("out"), 1.0), "i_l1": Field(parse_path("amps[0]"), -1.0)}
    assert pick({"p_kw": 1.5, "amps": ["2.5"]}, fields) == {"p": 1500.0, "e_exp": None, "i_l1": -2.5}


def test_a_bare_number_is_the_value_of_a_single_field() -> None:
    assert pick(12.5, {"p": Field(("anything",), 2.0)}) == {"p": 25.0}
    assert pick("12.5", {"p": Field(())}) == {"p": 12.5}
    with pytest.raises(JsonError, match="2 fields"):
        pick(12.5, {"p": Field(()), "f": Field(())})


@pytest.mark.parametrize("value", [True, False, "NaN", "12,5", "0x1F", "", "abc", "1e9999", [], {}, float("inf"), float("nan"), 10**400, "9" * 50])
def test_b37_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(JsonError):
        number(value, "p", from_text=True)


def test_numbers_in_quotes_are_numbers_only_where_allowed() -> None:
    assert number(" -1.5e2 ", "p", from_text=True) == -150.0
    with pytest.raises(JsonError, match="no number"):
        number("1.5", "p")


def test_a_document_without_any_of_the_fields_is_an_error() -> None:
    with pytest.raises(JsonError, match="check the paths"):
        pick({"p": None}, {"p": Field(("p",))})
    with pytest.raises(JsonError, match="payload is null"):
        pick(None, {"p": Field(()), "f": Field(())})
