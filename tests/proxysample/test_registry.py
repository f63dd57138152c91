"""Ids, registration and plug-ins, which are installed as a .dist-info folder on the path."""

from __future__ import annotations

import sys
from textwrap import dedent

import numpy as np
import pytest
from torch import nn

import proxysample
from proxysample import (
    ArrayDataset,
    InputError,
    Sampler,
    Splits,
    TransferLoss,
    create_sampler,
    list_samplers,
    load_dataset,
    register,
)
from proxysample.registry import SAMPLERS, Registry, registry_of, sampler_class


class Reverse(Sampler):
    """Keep the last samples."""

    id = "reverse"

    def __init__(self, *, offset=0.0):
        self.offset = offset

    def _score(self, samples, codes):
        return self.offset - np.arange(len(samples))


def test_a_registered_sampler_goes_by_its_id():
    assert register(Reverse) is Reverse
    assert list_samplers()[-1] == "reverse"
    assert create_sampler("reverse", offset=2.0).select(np.zeros((4, 2)), 0.5).tolist() == [2, 3]
    with pytest.raises(InputError, match="did you mean 'offset'"):
        create_sampler("reverse", ofset=1)
    SAMPLERS.unregister("reverse")
    with pytest.raises(InputError, match="unknown sampler 'reverse'"):
        create_sampler("reverse")


def test_register_decorates():
    @register(name="other")
    class Other(Reverse):
        """Goes by another id."""

    assert isinstance(create_sampler("other"), Other)


def test_a_taken_id_is_refused_unless_asked():
    register(Reverse)
    register(Reverse)

    class Another(Sampler):
        id = "reverse"

        def _score(self, samples, codes):
            return np.zeros(len(samples))

    with pytest.raises(InputError, match="there is a sampler 'reverse' already"):
        register(Another)
    register(Another, replace=True)
    assert type(create_sampler("reverse")) is Another
    with pytest.raises(InputError, match="there is a sampler 'rs' already"):
        register(Another, name="rs")


def test_a_definition_that_is_run_again_takes_its_own_place():
    def define():
        @register
        class Again(Reverse):
            id = "again"

        return Again

    define()
    second = define()
    assert type(create_sampler("again")) is second


@pytest.mark.parametrize(
    ("entry", "options", "message"),
    [
        (len, {}, "cannot be told: pass kind=, one of sampler, rule"),
        (3, {}, "cannot be told"),
        (Reverse, {"kind": "smapler"}, "unknown kind to register 'smapler'; did you mean"),
        (len, {"kind": "sampler", "name": "len"}, "is no sampler; needed: a Sampler"),
        (Reverse, {"kind": "rule"}, "is no keeping rule; needed: a KeepingRule"),
        (3, {"kind": "reader", "name": "three"}, "3 is no dataset; needed: a function"),
        (Reverse, {"name": "a:b"}, "registered by an id such as 'my-sampler', not 'a:b'"),
        (lambda path: path, {"kind": "reader"}, "name='my-reader'"),
    ],
)
def test_what_cannot_be_registered_is_refused(entry, options, message):
    with pytest.raises(InputError, match=message):
        register(entry, **options)


def two_images() -> ArrayDataset:
    return ArrayDataset(np.zeros((2, 4, 4), np.uint8), [0, 1])


def test_a_registered_reader_reads_datasets_of_its_name():
    @register(kind="reader", name="two")
    def read_two(path: str) -> Splits:
        return Splits(f"two:{path}", two_images(), None)

    @register(kind="reader", name="twice")
    def read_twice(path: str = "everywhere") -> Splits:
        return Splits(f"twice:{path}", two_images(), None)

    register(lambda: two_images(), kind="reader", name="bare")
    assert load_dataset("two:here").name == "two:here"
    assert load_dataset("twice").name == "twice:everywhere"
    assert load_dataset("twice:here").name == "twice:here"
    for spec, message in {
        "two": "two needs a path, such as two:PATH",
        "digits:here": "digits takes no path",
        "bare:here": "bare takes no path",
        "bare": r"gives a ArrayDataset; needed: proxysample.data.Splits\(name, train, test\)",
        "tow:here": "did you mean 'two'",
    }.items():
        with pytest.raises(InputError, match=message):
            load_dataset(spec)


def test_a_registered_backbone_serves_by_its_name():
    digits = load_dataset("digits").train
    small = ArrayDataset(digits.images[:60], digits.targets[:60])
    register(nn.Flatten, kind="backbone", name="pixels")
    named = TransferLoss(backbone="pixels", epochs=1, random_state=0)
    given = TransferLoss(backbone=nn.Flatten(), epochs=1, random_state=0)
    assert np.array_equal(named.select(small, 0.5), given.select(small, 0.5))
    assert named.weights_ == "given"
    with pytest.raises(InputError, match="'pixels' brings weights of its own"):
        TransferLoss(backbone="pixels", weights="hub").select(small, 0.5)
    register(lambda: 3, kind="backbone", name="three")
    with pytest.raises(InputError, match=r"'three' gives a int; needed: an nn.Module"):
        TransferLoss(backbone="three").select(small, 0.5)


def test_a_registry_is_found_by_its_kind():
    assert registry_of("sampler") is SAMPLERS
    assert registry_of("searcher").group == "proxysample.searchers"


@pytest.fixture
def samplers(monkeypatch):
    """The registry of samplers, that has not looked for plug-ins yet."""
    monkeypatch.setattr(SAMPLERS, "_plug_ins", None)
    monkeypatch.setattr(SAMPLERS, "_loaded", {})
    return SAMPLERS


LAST = """
    import numpy as np
    from proxysample import Sampler

    class Last(Sampler):
        "Keep the last samples."

        id = "last"

        def _score(self, samples, codes):
            return -np.arange(len(samples))
"""


def test_a_plug_in_is_found(plug_in, samplers):
    plug_in("lastpackage", LAST, "[proxysample.samplers]\nlast = lastpackage:Last\n")
    assert list_samplers()[-1] == "last"
    assert "lastpackage" not in sys.modules
    assert create_sampler("last").select(np.zeros((4, 2)), 0.5).tolist() == [2, 3]
    assert samplers.package("last") == "lastpackage"
    assert samplers.package("rs") is None
    assert not samplers.is_built_in("last")


def test_a_plug_in_that_cannot_be_loaded_is_told_when_it_is_asked_for(plug_in, samplers):
    plug_in(
        "broken",
        "import no_such_module",
        "[proxysample.samplers]\nlost = broken:Lost\nnone = broken2:None\n",
    )
    plug_in("other", "answer = 42", "[proxysample.samplers]\nanswer = other:answer\n")
    assert {"lost", "answer", "none"} <= set(list_samplers())
    with pytest.raises(InputError, match=r"'lost' of the package broken .*No module named 'no_suc"):
        create_sampler("lost")
    with pytest.raises(InputError, match=r"package other \(other:answer\) is no sampler; needed"):
        create_sampler("answer")
    assert create_sampler("rs").id == "rs"


def test_two_packages_with_one_id_are_told(plug_in, samplers):
    for name in ("first", "second"):
        plug_in(name, LAST, f"[proxysample.samplers]\nlast = {name}:Last\n")
    assert list_samplers().count("last") == 1
    with pytest.raises(InputError, match="packages first and second each have a sampler 'last'"):
        create_sampler("last")


def test_a_plug_in_does_not_take_an_id_of_ours(plug_in, samplers):
    plug_in("taker", LAST, "[proxysample.samplers]\nrs = taker:Last\n")
    with pytest.warns(UserWarning, match="package taker has a sampler 'rs', .* ours is used"):
        assert list_samplers().count("rs") == 1
    assert type(create_sampler("rs")).__name__ == "RandomSampling"


def test_entry_points_of_every_group_are_read(plug_in, tmp_path, forked):
    plug_in(
        "everything",
        """
        import numpy as np
        from dataclasses import dataclass
        from torch import nn
        from proxysample import ArrayDataset, KeepingRule, Splits

        @dataclass(frozen=True)
        class Backwards(KeepingRule):
            id = "backwards"

            def order(self, scores, codes=None, n_kept=None):
                return np.arange(len(scores))[::-1]

        def read(path):
            return Splits(path, ArrayDataset(np.zeros((2, 4, 4), np.uint8), [0, 1]), None)

        def pixels():
            return nn.Flatten()
        """,
        """
        [proxysample.rules]
        backwards = everything:Backwards
        [proxysample.readers]
        pairs = everything:read
        [proxysample.backbones]
        pixels = everything:pixels
        """,
    )
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import numpy as np
        from proxysample import CCOutlierRemoval, Ranking, load_dataset
        from proxysample.features import as_backbone
        assert load_dataset("pairs:x").name == "x"
        assert Ranking(np.zeros(4), keep="backwards").select(0.5).tolist() == [2, 3]
        assert as_backbone("pixels").weights == "given"
    """
    process = forked(dedent(program), str(tmp_path))
    assert process.wait() == 0, process.stderr


def test_without_a_base_any_function_is_an_entry():
    shapes: Registry = Registry("shape", "tests.shapes", {"cube": len})
    assert shapes.get("cube") is len
    shapes.register(max, "ball")
    assert list(shapes) == ["cube", "ball"]
    with pytest.raises(InputError, match="unknown registered shape 'cube'"):
        shapes.unregister("cube")


def test_every_sampler_built_in_is_a_name_of_the_package():
    for name in [name for name in list_samplers() if name in SAMPLERS._built_in]:
        found = sampler_class(name)
        assert getattr(proxysample, found.__name__) is found
        assert getattr(proxysample.samplers, found.__name__) is found
