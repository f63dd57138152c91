"""Searchers and operations of one's own, in a module that a command names."""

from __future__ import annotations

import sys

import pytest
from typer.main import get_command

from proxysample import cli as samplers_cli
from proxysample.errors import InputError
from proxysample.own_modules import import_modules, named_class, named_function
from proxysample.registry import EVALUATORS
from proxysample_nas import cli
from proxysample_nas.searchers.registry import SEARCHERS
from proxysample_nas.space.operations import OPERATIONS, SearchSpace

MODULES = {
    "of_my_own": """
from proxysample import register
from proxysample_nas import Operation
from proxysample_nas.searchers import RandomSearch
from proxysample_nas.space.operations import OPERATIONS

known = OPERATIONS.get('nor_conv_3x3')

class Own(RandomSearch):
    id = 'own'

class Nameless(RandomSearch):
    id = None

five = Operation('conv_5', 'convolution', '#cc79a7', '5x5', kernel_size=5)
register(Operation('conv_7', 'convolution', '#cc79a7', '7x7', kernel_size=7))
""",
    "of_operations": """
from proxysample import register
from proxysample_nas import Operation

register(Operation('conv_9', 'convolution', '#cc79a7', '9x9', kernel_size=9))
""",
    "of_nothing": "import numpy as np\nfrom proxysample import Sampler\n",
    "of_errors": "1 / 0\n",
    "of_functions": "def half(): return 0.5\n",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules in the folder where a command is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield
    for name in MODULES:
        sys.modules.pop(name, None)
    for registry in (SEARCHERS, OPERATIONS):
        for name in registry.registered:
            registry.unregister(name)


def test_a_module_that_is_named_gives_what_it_has_its_ids(modules):
    assert "own" not in SEARCHERS
    import_modules(["of_my_own"])
    import_modules(["of_my_own", "of_operations"])
    assert SEARCHERS.get("own").id == "own"
    assert len(SearchSpace.of("nas-bench-201+conv_5+conv_7+conv_9")) == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("of_nothing", "'of_nothing': it defines no sampler, searcher, operation"),
        ("of_errors", "--import 'of_errors': ZeroDivisionError: division by zero"),
        ("not_there", "--import 'not_there': No module named"),
    ],
)
def test_a_module_that_is_of_no_use_is_told(modules, name, message):
    with pytest.raises(InputError, match=message):
        import_modules([name])


def test_one_searcher_is_named_by_its_class(modules):
    assert named_class("gdas", SEARCHERS) == "gdas"
    assert named_class("of_my_own:Own", SEARCHERS) == "own"
    assert "own" in SEARCHERS
    with pytest.raises(InputError, match=r"'n_samples=3' is given by --param name=value"):
        named_class("of_my_own:Own,n_samples=3", SEARCHERS)


def test_a_function_is_named_by_its_module(modules):
    assert named_function("head:epochs=2", EVALUATORS) == "head:epochs=2"
    assert named_function("head", EVALUATORS) == "head"
    assert named_function("of_functions:half", EVALUATORS)() == 0.5
    with pytest.raises(InputError, match="of_functions:whole cannot be imported: AttributeError"):
        named_function("of_functions:whole", EVALUATORS)


def test_every_command_takes_modules_of_ones_own():
    named = get_command(cli.app).commands | get_command(samplers_cli.app).commands
    commands = [*named.pop("study").commands.values(), *named.values()]
    assert {one.name for one in commands} >= {"search", "rank", "add", "status", "report", "select"}
    for command in commands:
        assert any("--import" in option.opts for option in command.params), command.name


def test_a_study_of_operations_of_ones_own_is_shown_with_their_module(modules, command_line):
    status = ["study", "status", "-o", "nowhere"]
    code, _, err = command_line(cli.main, *status, "--import", "of_operations")
    assert (code, "no study at nowhere" in err) == (2, True)
    assert "conv_9" in OPERATIONS
