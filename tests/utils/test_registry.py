"""A signature is the schema of its options."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from msgspec import Meta

from basicsr.utils.convert import Mistakes
from basicsr.utils.errors import OptionError
from basicsr.utils.registry import (
    ARCHS,
    DATASETS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    TRANSFORMS,
    Nested,
    Registry,
    split_type,
)

EMPTY_HOME = "basicsr.utils"
SHIPPED = [ARCHS, DATASETS, LOSSES, METRICS, MODELS, OPTIMIZERS, SCHEDULES, TRANSFORMS]
FRAMES = Registry("frame", EMPTY_HOME)


@FRAMES.register
class Plain:
    def __init__(self, width: int = 1) -> None:
        self.width = width


@FRAMES.register
class Double:
    def __init__(self, inner: Annotated[dict[str, Any], Nested(FRAMES)]) -> None:
        name, options = split_type(inner)
        self.inner = FRAMES.build(name, options)


@FRAMES.register
class Row:
    def __init__(self, inner: list[Annotated[dict[str, Any], Nested(FRAMES)]] | None = None) -> None:
        self.inner = [FRAMES.build(*split_type(block)) for block in inner or ()]


@pytest.fixture
def shapes() -> Registry:
    registry = Registry("shape", EMPTY_HOME, runtime=("canvas",))

    @registry.register
    class Circle:
        def __init__(self, radius: float, center: Sequence[int] = (0, 0), canvas: Any = None) -> None:
            self.radius, self.center, self.canvas = radius, center, canvas

    @registry.register
    @dataclass(kw_only=True)
    class Square:
        side: Annotated[int, Meta(ge=1)] = 1

    @registry.register
    def area(canvas, radius: float, times: int = 1) -> float:
        return canvas * times * radius**2

    return registry


def test_decorator_returns_the_entry_and_its_name_is_the_key(shapes):
    @shapes.register
    def Line(length: int = 1) -> int:  # noqa: N802
        return length

    assert shapes["Line"] is Line and Line(3) == 3
    assert shapes.names() == ["Circle", "Line", "Square", "area"]


def test_name_is_taken_once(shapes):
    with pytest.raises(ValueError, match="shape 'Circle' .* is already registered by"):

        @shapes.register
        class Circle:
            pass


def test_entry_that_would_hide_misspelt_options_is_refused(shapes):
    with pytest.raises(ValueError, match=r"shape 'Line' takes \*\*more: name every option instead"):

        @shapes.register
        class Line:
            def __init__(self, length: int, **more: int) -> None: ...

    assert "Line" not in shapes.names()


def test_option_without_annotation_is_refused_but_a_runtime_value_needs_none(shapes):
    with pytest.raises(ValueError, match="shape 'Line': option 'length' has no annotation"):

        @shapes.register
        def Line(canvas, length=1):  # noqa: N802
            return length

    assert "Line" not in shapes.names()


def test_options_are_those_of_the_signature_without_runtime_values(shapes):
    options = shapes.options("Circle")
    assert list(options) == ["radius", "center"]
    assert options["radius"].required and not options["center"].required
    assert (options["radius"].kind, options["center"].default) == (float, (0, 0))
    assert list(shapes.options("area")) == ["radius", "times"]
    assert shapes.options("Square")["side"].default == 1


def test_build_converts_and_leaves_the_options_as_they_were(shapes):
    options = {"radius": "1e-3", "center": [3, "4"]}
    before = copy.deepcopy(options)
    first, second = shapes.build("Circle", options), shapes.build("Circle", options)
    assert (first.radius, list(first.center)) == (0.001, [3, 4])
    first.center.append(5)
    assert options == before and list(second.center) == [3, 4]


def test_build_of_a_function_binds_its_options(shapes):
    bound = shapes.build("area", {"radius": 3, "times": 2})
    assert bound(canvas=10) == 180 == bound(10)
    assert shapes.build("area", {"radius": 3}, canvas=1)() == 9


def test_runtime_values_go_to_those_who_take_them(shapes):
    canvas = object()
    assert shapes.build("Circle", {"radius": 1}, canvas=canvas).canvas is canvas
    assert shapes.build("Square", {}, canvas=canvas).side == 1


def test_runtime_value_is_no_option(shapes):
    with pytest.raises(OptionError) as caught:
        shapes.build("Circle", {"radius": 1, "canvas": "mine"})
    assert caught.value.mistakes == ["canvas: Circle has no such option. Known: radius, center (got 'mine')"]


def test_build_reports_every_mistake_with_the_nearest_name(shapes):
    with pytest.raises(OptionError) as caught:
        shapes.build("Circle", {"raduis": 1, "center": [1, "x"]})
    assert caught.value.mistakes == [
        "raduis: Circle has no such option. Did you mean 'radius'? (got 1)",
        "radius: required by Circle, but not given",
        "center: Expected `int`, got `str` - at `$[1]` (got [1, 'x'])",
    ]
    assert str(caught.value).startswith("shape Circle: 3 mistakes\n")


def test_unknown_name_gives_the_nearest_or_all(shapes):
    with pytest.raises(OptionError, match="unknown shape 'Circel'. Did you mean 'Circle'?"):
        shapes["Circel"]
    with pytest.raises(OptionError, match="unknown shape 'zzz'. Known: Circle, Square, area"):
        shapes.build("zzz", {})


@pytest.mark.parametrize("name", [None, 3, ["Circle"], {"a": 1}, "circle"])
def test_name_that_is_none_is_a_mistake_at_type(name, shapes):
    mistakes = Mistakes()
    assert shapes.check(name, {}, "network_g", mistakes) == {}
    (line,) = mistakes.lines
    assert line.startswith(f"network_g.type: unknown shape {name!r}")


def test_keys_beside_the_options_are_offered_too(shapes):
    mistakes = Mistakes()
    shapes.check("Square", {"nmae": 1}, "here", mistakes, beside=("name", "type"))
    assert mistakes.lines == ["here.nmae: Square has no such option. Did you mean 'name'? (got 1)"]


def test_bounds_of_an_annotation_are_checked(shapes):
    with pytest.raises(OptionError, match=r"side: must be at least 1 \(got 0\)"):
        shapes.build("Square", {"side": 0})


def test_nested_block_is_checked_at_its_place_and_built():
    frame = FRAMES.build("Double", {"inner": {"type": "Double", "inner": {"type": "Plain", "width": "2"}}})
    assert frame.inner.inner.width == 2
    mistakes = Mistakes()
    inner = {"type": "Double", "inner": {"type": "Plain", "widht": 2}}
    FRAMES.check("Double", {"inner": inner}, "network_g", mistakes)
    assert mistakes.lines == [
        "network_g.inner.inner.widht: Plain has no such option. Did you mean 'width'? (got 2)"
    ]


def test_blocks_of_a_list_are_checked_at_their_places_and_built():
    blocks = [{"type": "Plain", "width": "2"}, {"type": "Row", "inner": [{"type": "Plain"}]}]
    row = FRAMES.build("Row", {"inner": blocks})
    assert (row.inner[0].width, row.inner[1].inner[0].width) == (2, 1)
    assert FRAMES.build("Row", {}).inner == FRAMES.build("Row", {"inner": []}).inner == []
    mistakes = Mistakes()
    wrong = [
        {"type": "Plane"},
        "Plain",
        None,
        {"width": 2},
        {"type": "Row", "inner": [{"type": "Plain", "widht": 1}]},
    ]
    FRAMES.check("Row", {"inner": wrong}, "network_g", mistakes)
    assert mistakes.lines == [
        "network_g.inner[0].type: unknown frame 'Plane'. Did you mean 'Plain'?",
        "network_g.inner[1]: expected a block of `key: value` lines (got 'Plain')",
        "network_g.inner[2]: expected a block of `key: value` lines (got None)",
        "network_g.inner[3].type: unknown frame None. Known: Double, Plain, Row",
        "network_g.inner[4].inner[0].widht: Plain has no such option. Did you mean 'width'? (got 1)",
    ]
    mistakes = Mistakes()
    FRAMES.check("Row", {"inner": {"type": "Plain"}}, "network_g", mistakes)
    assert mistakes.lines == ["network_g.inner: expected a list (got {'type': 'Plain'})"]


def test_split_type_leaves_the_block_alone():
    block = {"type": "Circle", "radius": 1}
    assert split_type(block) == ("Circle", {"radius": 1})
    assert split_type({"radius": 1}) == (None, {"radius": 1})
    assert block == {"type": "Circle", "radius": 1}


@pytest.mark.parametrize("registry", SHIPPED, ids=lambda registry: registry.role)
def test_everything_shipped_can_say_its_options_and_what_it_is(registry):
    home = importlib.import_module(registry.home)
    assert registry.names()
    for name in registry.names():
        assert registry[name].__module__.startswith(home.__name__)
        assert registry[name].__doc__
        assert not set(registry.options(name)) & {*registry.runtime, "type", "self"}
