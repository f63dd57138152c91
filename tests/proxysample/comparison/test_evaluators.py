"""What an evaluator is named by, and how one is made of what a user gives."""

from __future__ import annotations

import linecache

import pytest

from proxysample import InputError
from proxysample.comparison.evaluators import OwnEvaluator, as_evaluator
from proxysample.comparison.head import LinearHead


def three(train, held_out, seed):
    return 0.5


def own(train, held_out, seed, budget):
    return 0.5


class Model:
    """An object that is called, with fields that decide its results."""

    id = "model"

    def __init__(self, depth):
        self.depth = depth

    def __call__(self, train, held_out, seed, budget):
        return 0.5


def typed(text: str):
    """Define a function as a prompt does, which keeps no text."""
    namespace: dict[str, object] = {}
    exec(f"def typed(train, held_out, seed, budget):\n    return {text}", namespace)
    return OwnEvaluator(namespace["typed"])


def test_a_function_is_named_by_its_text_or_by_what_it_was_compiled_to(monkeypatch):
    # As Python 3.13 keeps what `python -c` runs, under the name that all has that exec runs.
    monkeypatch.setitem(linecache.cache, "<string>", (9, None, ["import this\n"] * 9, "<string>"))
    assert as_evaluator(own).name == "own"
    assert as_evaluator(own).parameters().keys() == {"text"}
    first, again, other = (typed(text).parameters() for text in ("0.25", "0.25", "0.75"))
    assert first == again
    assert first != other
    nested = [typed(f"max(x + {n} for x in [1])").parameters() for n in (1, 2)]
    assert nested[0] != nested[1]


def test_an_object_is_named_by_its_id_and_fields():
    assert as_evaluator(Model(3)).name == "model"
    assert as_evaluator(Model(3)).parameters() == {"depth": 3}
    with pytest.raises(InputError, match="has no text that could name its results"):
        as_evaluator(len)
    with pytest.raises(InputError, match=r"called as three\(train, held_out, seed, budget\)"):
        as_evaluator(three)


def test_an_evaluator_comes_back_from_what_a_store_holds():
    head = LinearHead(epochs=7)
    assert as_evaluator({"name": "head", "parameters": head.parameters()}) == head
    assert as_evaluator("head:epochs=7") == head


def test_what_a_function_closes_over_is_part_of_its_name():
    def made(rate):
        def trained(train, held_out, seed, budget, *, steps=10 * rate):
            return rate

        return as_evaluator(trained)

    assert made(0.1).parameters() == made(0.1).parameters()
    assert made(0.1).parameters() != made(0.2).parameters()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda train, held_out: 0.5, "which its parameters do not take"),
        (lambda configuration, train, held_out, seed: 0.5, "its parameter train stands where held"),
    ],
)
def test_a_function_that_takes_other_than_it_is_called_with_is_refused_first(function, message):
    with pytest.raises(InputError, match=rf"\(train, held_out, seed, budget\), .*{message}"):
        as_evaluator(function)
