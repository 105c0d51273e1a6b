"""Errors for the user, and optional packages."""

from __future__ import annotations

import math

import pytest

from basicsr.utils.errors import OptionError, UserError
from basicsr.utils.extras import optional_import


def test_option_error_counts_and_lists_its_mistakes():
    mistakes = ["name: required, but not given", "scale: must be at most 1 (got 4)"]
    error = OptionError("a.yml", mistakes)
    assert str(error) == "a.yml: 2 mistakes\n  " + "\n  ".join(mistakes)
    assert (error.source, error.mistakes, error.exit_code) == ("a.yml", mistakes, 2)
    mistakes.append("later")
    assert len(error.mistakes) == 2
    assert str(OptionError("a.yml", ["x: y"])) == "a.yml: x: y"
    assert str(OptionError("name", ["name: taken"])) == "name: taken"


def test_option_errors_are_user_errors_with_another_code():
    assert issubclass(OptionError, UserError)
    assert (UserError.exit_code, OptionError.exit_code) == (1, 2)


def test_installed_package_is_given():
    assert optional_import("math", "this test", "pip install python") is math
    assert optional_import("os.path", "this test", "pip install python").join("a", "b")


@pytest.mark.parametrize("module", ["basicsr_has_no_such_extra", "math.no_such_part"])
def test_absent_package_is_one_line_with_purpose_and_command(module):
    with pytest.raises(UserError) as caught:
        optional_import(module, "logger.wandb", "pip install wandb")
    output = str(caught.value)
    assert output.startswith(f"logger.wandb needs the package '{module}'")
    assert output.endswith("Install it: pip install wandb") and "\n" not in output
