"""From plain YAML values to annotated types, with every mistake in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from basicsr.utils.convert import ExistingFile, ExistingFolder, FileTemplate, Mistakes, convert, join

Share = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0, le=10)]


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    count: Annotated[int, Meta(ge=1)]
    share: Share = 0.5


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    inner: Inner | None = None
    parts: dict[str, Inner] = {}
    mode: Literal["off", "on_gpu"] = "off"


def converted(value: Any, kind: Any) -> Any:
    mistakes = Mistakes()
    result = convert(value, kind, "here", mistakes)
    assert mistakes.lines == []
    return result


def mistakes_of(value: Any, kind: Any) -> list[str]:
    mistakes = Mistakes()
    convert(value, kind, "here", mistakes)
    assert mistakes.lines
    return mistakes.lines


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float_is_read_from_every_spelling(number):
    for spelling in (number, repr(number), f"{number:.17e}"):
        result = converted(spelling, float)
        assert result == number and type(result) is float


@given(st.integers(-(2**53), 2**53))
def test_whole_number_is_an_int_even_if_written_as_float(number):
    for spelling in (number, str(number), float(number)):
        result = converted(spelling, int)
        assert result == number and type(result) is int


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("1e-3", float, 0.001),
        ("2e4", int, 20_000),
        (2e4, int, 20_000),
        (3, float, 3.0),
        (["1e-3", 1], Sequence[float], [0.001, 1.0]),
        ([1, "2e-1"], tuple[float, float], (1.0, 0.2)),
        (None, int | None, None),
        (None, ExistingFile | None, None),
        ("auto", int | Literal["auto"], "auto"),
        (4, int | Literal["auto"], 4),
        (False, Literal["off", "bf16"], "off"),
        (False, Literal["off", "bf16"] | None, "off"),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ({"anything": [1, None]}, Any, {"anything": [1, None]}),
    ],
)
def test_value_takes_the_type_that_is_asked_for(value, kind, expected):
    result = converted(value, kind)
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "line"),
    [
        ("32x", int, "here: Expected `int`, got `str` (got '32x')"),
        (2.5, int, "here: Expected `int`, got `float` (got 2.5)"),
        (True, int, "here: Expected `int`, got `bool` (got True)"),
        (None, int, "here: Expected `int`, got `null` (got None)"),
        (3, str, "here: Expected `str`, got `int` (got 3)"),
        ([1, "a"], Sequence[int], "here: Expected `int`, got `str` - at `$[1]` (got [1, 'a'])"),
        ([1], tuple[float, float], "here: Expected `array` of length 2, got 1 (got [1])"),
        (
            "pb16",
            Literal["off", "bf16"],
            "here: expected one of off, bf16. Did you mean 'bf16'? (got 'pb16')",
        ),
        (True, Literal["off", "bf16"], "here: expected one of off, bf16 (got True)"),
        (False, Literal["cpu", "cuda"], "here: expected one of cpu, cuda (got False)"),
        (3, Inner, "here: expected a block of `key: value` lines (got 3)"),
        ([], dict[str, Inner], "here: expected a block of `key: value` lines (got [])"),
        ("x", dict[str, Any], "here: expected a block of `key: value` lines (got 'x')"),
        (["."], list[ExistingFile], "here[0]: no such file (got '.')"),
        ("absent", list[ExistingFile], "here: expected a list (got 'absent')"),
        ("absent", ExistingFile, "here: no such file (got 'absent')"),
        ("absent", ExistingFolder | None, "here: no such folder (got 'absent')"),
    ],
)
def test_mistake_says_place_reason_and_value(value, kind, line):
    assert mistakes_of(value, kind) == [line]


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (Share, [0, 0.5, 0.999], {-0.1: "at least 0", 1: "less than 1", float("nan"): "at least 0"}),
        (Positive, [1e-9, 10], {0: "more than 0", 10.5: "at most 10", float("nan"): "more than 0"}),
    ],
)
def test_bounds_hold_at_their_ends_and_refuse_not_a_number(kind, inside, outside):
    assert [converted(value, kind) for value in inside] == inside
    for value, words in outside.items():
        assert mistakes_of(value, kind)[0].startswith(f"here: must be {words}")


def test_paths_are_looked_for_as_file_or_folder_and_only_where_asked(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert converted(str(file), ExistingFile) == str(file)
    assert converted(str(tmp_path), ExistingFolder) == str(tmp_path)
    assert mistakes_of(str(tmp_path), ExistingFile) and mistakes_of(str(file), ExistingFolder)
    mistakes = Mistakes(check_paths=lambda where: where == "here")
    for where in ("here", "there"):
        convert("absent", ExistingFile, where, mistakes)
    assert mistakes.lines == ["here: no such file (got 'absent')"]


def test_structs_are_walked_to_every_mistake():
    value = {
        "nam": "x",
        "inner": {"count": 0, "share": 2},
        "parts": {"a": {"count": 1}, "b": {"cuont": 1}, 3: {"count": 1}},
        "mode": "on_gup",
    }
    mistakes = Mistakes()
    assert convert(value, Outer, "", mistakes) is None
    assert mistakes.lines == [
        "name: required, but not given",
        "inner.count: must be at least 1 (got 0)",
        "inner.share: must be less than 1 (got 2.0)",
        "parts.3: a name must be text; put it in quotes (got 3)",
        "parts.b.count: required, but not given",
        "parts.b.cuont: unknown key. Did you mean 'count'? (got 1)",
        "mode: expected one of off, on_gpu. Did you mean 'on_gpu'? (got 'on_gup')",
        "nam: unknown key. Did you mean 'name'? (got 'x')",
    ]


def test_right_values_become_the_struct_with_its_defaults():
    value = {"name": "x", "inner": {"count": "2"}, "parts": {"a": {"count": 1, "share": "1e-1"}}}
    expected = Outer(name="x", inner=Inner(count=2), parts={"a": Inner(count=1, share=0.1)})
    assert converted(value, Outer) == expected


def test_unknown_name_without_a_near_one_lists_all():
    mistakes = Mistakes()
    mistakes.unknown("here", "unknown thing 'zzz'", "zzz", ["alpha", "beta"])
    assert mistakes.lines == ["here: unknown thing 'zzz'. Known: alpha, beta"]


def test_mistakes_of_two_runs_do_not_mix():
    Mistakes().add("here", "wrong")
    assert Mistakes().lines == []


def test_place_inside_a_place():
    assert (join("a.b", "c"), join("", "c"), join("a", 3)) == ("a.b.c", "c", "a.3")


@pytest.mark.parametrize("template", ["{}", "{}_blur", "a{}b"])
def test_a_template_has_one_plain_place(template):
    mistakes = Mistakes()
    assert convert(template, FileTemplate, "tmpl", mistakes) == template
    assert mistakes.lines == []


@pytest.mark.parametrize(
    "template", ["", "a", "{}{}", "{:>1000000000}", "{0}", "{!r}", "{stem}", "{{}}", "{}}"]
)
def test_a_template_formats_nothing(template):
    mistakes = Mistakes()
    convert(template, FileTemplate, "tmpl", mistakes)
    assert mistakes.lines == [f"tmpl: expected one `{{}}`, which stands for the file stem (got {template!r})"]
