"""What goes by an id: samplers, rules, readers, backbones, evaluators, searchers, operations.

An id is that of something built in, of something that a program registers by `register`, or of a
plug-in: an installed package that names it as an entry point of the packaging standard, in one of
the groups ``proxysample.samplers``, ``proxysample.rules``, ``proxysample.readers``,
``proxysample.backbones``, ``proxysample.evaluators``, ``proxysample.searchers`` and
``proxysample.operations``. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from proxysample.errors import InputError, check_name, check_names, unknown_name
from proxysample.printing import shown
from proxysample.wording import parse_words

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from torch import nn

    from proxysample.comparison.evaluators import Evaluator
    from proxysample.data.datasets import Splits
    from proxysample.keeping import KeepingRule
    from proxysample.sampler import Sampler

T = TypeVar("T")

# Words such as km-or:n_clusters=50,protocol=paper have to be told apart from the id.
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


_IMPORTED = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(,(?P<words>.*))?")


class Registry(Generic[T]):
    """Objects of one kind by their ids.

    Parameters
    ----------
    kind : str
        Such as ``"sampler"``; see `register`.
    group : str
        Of the entry points that plug-ins have.
    built_in : mapping
        Objects by id, those that are not to be imported yet as ``"module:Name"``.
    base : str, optional
        ``"module:Class"``: entries are subclasses or instances of it. Without one they are
        functions.
    noun : str, optional
        What messages call an entry; `kind` by default.

    Examples
    --------
    >>> shapes = Registry("shape", "examples.shapes", {"square": "proxysample.errors:InputError"})
    >>> "square" in shapes, list(shapes)
    (True, ['square'])
    >>> shapes.get("squre")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown shape 'squre'; did you mean 'square'? Known: square
    """

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, Any] | None = None,
        *,
        base: str | None = None,
        noun: str | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self.noun = noun or kind
        self._a_noun = f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"
        self._built_in = dict(built_in or {})
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._plug_ins: dict[str, list[EntryPoint]] | None = None

    def __iter__(self) -> Iterator[str]:
        """Give the ids: those built in, those registered, and then those of plug-ins."""
        yield from dict.fromkeys([*self._built_in, *self._registered, *self._read_plug_ins()])

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return name in self._built_in or name in self._registered or name in self._read_plug_ins()

    def _unknown(self, name: str) -> InputError:
        known, colon, _ = name.partition(":")
        if colon and known in self:
            return InputError(
                f"unknown {self.noun} {shown(name)}; parameters are given beside the name "
                f"{known!r}, as keywords"
            )
        return unknown_name(self.noun, name, self)

    def get(self, name: str) -> T:
        """Give the object of an id.

        Raises
        ------
        InputError
            If the id is unknown (the message suggests the nearest), or it is a plug-in's that
            cannot be loaded.
        """
        if not isinstance(name, str):
            raise unknown_name(self.noun, name, self)
        if name in self._registered:
            return self._registered[name]
        if name in self._built_in:
            entry = self._built_in[name]
            found: T = _import(entry) if isinstance(entry, str) else entry
            return found
        if name not in self._read_plug_ins():
            raise self._unknown(name)
        if name not in self._loaded:
            self._loaded[name] = self._load_plug_in(name)
        return self._loaded[name]

    def register(self, entry: T, name: str | None = None, *, replace: bool = False) -> None:
        """Give an object an id in this process; see the function `register`."""
        if not isinstance(replace, bool):
            raise InputError(f"replace must be True or False, not {shown(replace)}")
        self._check_entry(entry, shown(entry))
        found = id_of(entry) if name is None else name
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise InputError(
                f"{self._a_noun} is registered by an id such as 'my-{self.kind}', not "
                f"{shown(found)}: give it an attribute id, or name='my-{self.kind}'"
            )
        if found in self and not replace and not _is_again(self._registered.get(found), entry):
            raise InputError(
                f"there is {self._a_noun} {shown(found)} already; choose another id, or pass "
                "replace=True"
            )
        self._registered[found] = entry

    def unregister(self, name: str) -> None:
        """Take back what `register` did."""
        if name not in self._registered:
            raise unknown_name(f"registered {self.noun}", name, self._registered)
        del self._registered[name]

    @property
    def registered(self) -> dict[str, T]:
        """What this process registered, by id: another process knows nothing of it."""
        return dict(self._registered)

    def is_built_in(self, name: str) -> bool:
        """Whether an id stands for something of these two packages."""
        return name in self._built_in and name not in self._registered

    def package(self, name: str) -> str | None:
        """Name the installed package whose plug-in an id is; None where it is none."""
        if name in self._registered or name in self._built_in:
            return None
        return _package(self._read_plug_ins()[name][0])

    def accepts(self, entry: object) -> bool:
        """Whether an object is of this kind, as far as that can be told without an import."""
        if self.base is None:
            return callable(entry)
        module, _, name = self.base.partition(":")
        if module not in sys.modules:
            return False
        base = getattr(sys.modules[module], name)
        return issubclass(entry, base) if isinstance(entry, type) else isinstance(entry, base)

    def _check_entry(self, entry: object, what: str) -> None:
        if self.base is not None:
            _import(self.base)
        if not self.accepts(entry):
            needed = "a function" if self.base is None else f"a {self.base.partition(':')[2]}"
            raise InputError(f"{what} is no {self.noun}; needed: {needed}")

    def _read_plug_ins(self) -> dict[str, list[EntryPoint]]:
        if self._plug_ins is None:
            from importlib.metadata import entry_points

            found: dict[str, list[EntryPoint]] = {}
            for entry in sorted(entry_points(group=self.group), key=lambda one: one.name):
                found.setdefault(entry.name, []).append(entry)
            self._plug_ins = found
            for name in found.keys() & self._built_in.keys():
                package = _package(found.pop(name)[0])
                warnings.warn(
                    f"the package {package} has a {self.noun} {name!r}, which is the id of one of "
                    "ours; ours is used",
                    stacklevel=3,
                )
        return self._plug_ins

    def _load_plug_in(self, name: str) -> T:
        entries = self._read_plug_ins()[name]
        packages = " and ".join(sorted(map(_package, entries)))
        if len(entries) > 1:
            raise InputError(
                f"the packages {packages} each have a {self.noun} {name!r}; uninstall all but one"
            )
        what = f"the {self.noun} {name!r} of the package {packages} ({entries[0].value})"
        try:
            entry: T = entries[0].load()
        except Exception as error:  # whatever the package does on import
            raise InputError(
                f"{what} cannot be loaded: {type(error).__name__}: {error}; install the package "
                "again, or uninstall it"
            ) from error
        self._check_entry(entry, what)
        return entry


def _is_again(before: object, now: object) -> bool:
    """Whether a definition has been run again, as a notebook's cell is."""
    names = [
        (getattr(one, "__module__", None), getattr(one, "__qualname__", None))
        for one in (before, now)
    ]
    return before == now or (names[0] == names[1] and None not in names[0])


def id_of(entry: object) -> Any:
    """Give the id that an object has of its own, or None."""
    found = getattr(entry, "id", None) or getattr(entry, "name", None)
    return found if isinstance(found, str) else None


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _package(entry: EntryPoint) -> str:
    return "unknown" if entry.dist is None else entry.dist.name


SAMPLERS: Registry[type[Sampler]] = Registry(
    "sampler",
    "proxysample.samplers",
    {
        "rs": "proxysample.samplers.random:RandomSampling",
        "cc-rs": "proxysample.samplers.random:CCRandomSampling",
        "km-or": "proxysample.samplers.outliers:KMeansOutlierRemoval",
        "cc-or": "proxysample.samplers.outliers:CCOutlierRemoval",
        "ae": "proxysample.samplers.autoencoder:AutoencoderLoss",
        "tl": "proxysample.samplers.transfer:TransferLoss",
        "herding": "proxysample.samplers.greedy:Herding",
        "k-center": "proxysample.samplers.greedy:KCenter",
        "facility-location": "proxysample.samplers.greedy:FacilityLocation",
        "d2": "proxysample.samplers.greedy:D2",
        "moderate": "proxysample.samplers.coverage:Moderate",
        "semdedup": "proxysample.samplers.coverage:SemDeDup",
        "prototypes": "proxysample.samplers.coverage:Prototypes",
        "zcore": "proxysample.samplers.coverage:ZCore",
        "el2n": "proxysample.samplers.recorded:EL2N",
        "grand": "proxysample.samplers.recorded:GraNd",
        "forgetting": "proxysample.samplers.recorded:Forgetting",
        "aum": "proxysample.samplers.recorded:AUM",
        "aum-p": "proxysample.samplers.recorded:ProbabilityAUM",
        "margin": "proxysample.samplers.recorded:Margin",
        "entropy": "proxysample.samplers.recorded:Entropy",
        "least-confidence": "proxysample.samplers.recorded:LeastConfidence",
        "confidence": "proxysample.samplers.recorded:Confidence",
        "variability": "proxysample.samplers.recorded:Variability",
        "dyn-unc": "proxysample.samplers.recorded:DynUnc",
        "tdds": "proxysample.samplers.recorded:TDDS",
        "dual": "proxysample.samplers.recorded:DUAL",
        "ccs": "proxysample.samplers.recorded:CoverageCentric",
        "csl": "proxysample.samplers.recorded:CSL",
        "learning-speed": "proxysample.samplers.recorded:LearningSpeed",
        "first-learned": "proxysample.samplers.recorded:FirstLearned",
        "cld": "proxysample.samplers.recorded:CLD",
        "auto": "proxysample.samplers.auto:Automatic",
        "indices": "proxysample.samplers.given:GivenIndices",
        "ranking": "proxysample.samplers.given:GivenRanking",
    },
    base="proxysample.sampler:Sampler",
)

READY_MADE = ("indices", "ranking")
"""Samplers that take what was picked or ranked elsewhere, and nothing else."""

RULES: Registry[type[KeepingRule]] = Registry(
    "rule",
    "proxysample.rules",
    {
        "easy": "proxysample.rules.directions:KeepEasy",
        "hard": "proxysample.rules.directions:KeepHard",
        "top": "proxysample.rules.directions:KeepTop",
        "bottom": "proxysample.rules.directions:KeepBottom",
        "middle": "proxysample.rules.directions:KeepMiddle",
        "ccs": "proxysample.rules.strata:CCS",
        "weighted": "proxysample.rules.draws:WeightedDraw",
        "histogram": "proxysample.rules.draws:HistogramDraw",
        "beta": "proxysample.rules.draws:BetaDraw",
        "given": "proxysample.samplers.given:KeepGiven",
    },
    base="proxysample.keeping:KeepingRule",
    noun="keeping rule",
)

READERS: Registry[Callable[..., Splits]] = Registry(
    "reader",
    "proxysample.readers",
    {
        "digits": "proxysample.data.datasets:read_digits",
        "npz": "proxysample.data.datasets:read_npz_dataset",
        "npy": "proxysample.data.readers:read_npy_dataset",
        "pt": "proxysample.data.readers:read_tensor_dataset",
        "safetensors": "proxysample.data.readers:read_safetensors_dataset",
        "hdf5": "proxysample.data.readers:read_hdf5_dataset",
        "zarr": "proxysample.data.readers:read_zarr_dataset",
        "folder": "proxysample.data.readers:read_folder",
        "csv": "proxysample.data.readers:read_csv_dataset",
        "webdataset": "proxysample.data.readers:read_webdataset",
        "cifar10": "proxysample.data.datasets:read_cifar10",
        "cifar100": "proxysample.data.datasets:read_cifar100",
        "imagenet16-120": "proxysample.data.datasets:read_imagenet16_120",
        "huggingface": "proxysample.data.huggingface:read_huggingface",
        "embed": "proxysample.features.store:read_kept",
    },
    noun="dataset",
)

BACKBONES: Registry[Callable[[], nn.Module]] = Registry("backbone", "proxysample.backbones")

EVALUATORS: Registry[type[Evaluator]] = Registry(
    "evaluator",
    "proxysample.evaluators",
    {
        "head": "proxysample.comparison.head:LinearHead",
        "network": "proxysample.comparison.network:NetworkFromScratch",
    },
    base="proxysample.comparison.evaluators:Evaluator",
)

# This package imports none of the other, whose registries are named by where they are.
_REGISTRIES: dict[str, Registry[Any] | str] = {
    "sampler": SAMPLERS,
    "rule": RULES,
    "reader": READERS,
    "backbone": BACKBONES,
    "evaluator": EVALUATORS,
    "searcher": "proxysample_nas.searchers.registry:SEARCHERS",
    "operation": "proxysample_nas.space.operations:OPERATIONS",
}


def registry_of(kind: str) -> Registry[Any]:
    """Give the registry of a kind; see `register`."""
    check_name("kind to register", kind, _REGISTRIES)
    found = _REGISTRIES[kind]
    registry: Registry[Any] = _import(found) if isinstance(found, str) else found
    return registry


def imported(given: str, registry: Registry[Any]) -> Any:
    """Import what ``"module:Class"`` names, or create it where parameters follow.

    Only for what a user types: a store and other files are never read by it.

    Parameters
    ----------
    given : str
        Such as ``"my_package.samplers:Mine,alpha=3"``.
    registry : Registry
        Of the kind that is asked for.

    Returns
    -------
    object or None
        None where the words are those of an id, such as ``"cc-or:keep=hard"``.

    Raises
    ------
    InputError
        If the module or the class cannot be imported, is of another kind, or takes no such
        parameters.

    Examples
    --------
    >>> imported("proxysample.samplers.random:RandomSampling,random_state=3", SAMPLERS)
    RandomSampling(random_state=3)
    >>> imported("rs:random_state=3", SAMPLERS) is None
    True
    """
    found = _IMPORTED.fullmatch(given)
    if found is None or found["module"] in registry:
        return None
    module, name, words = found["module"], found["name"], found["words"]
    try:
        entry = getattr(import_module(module), name)
    except Exception as error:  # whatever the module does on import
        raise InputError(
            f"{module}:{name} cannot be imported ({type(error).__name__}: {error}); needed: "
            f"{registry._a_noun} by its id, or module:Class of a module that Python finds"
        ) from error
    registry._check_entry(entry, f"{module}:{name}")
    if not words:
        return entry
    try:
        return entry(**parse_words(words))
    except TypeError as error:
        raise InputError(f"{module}:{name}: {error}") from error


def registrations() -> Any:
    """Give all that this process has registered, in a form that another one can unpickle."""
    from joblib import wrap_non_picklable_objects

    found = {one.kind: one.registered for one in loaded_registries() if one.registered}
    # Classes that a notebook or a script defines cannot be imported elsewhere: they travel with
    # their code.
    return wrap_non_picklable_objects(found, keep_wrapper=False) if found else found


def register_again(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Register what `registrations` gave in another process."""
    for kind, entries in found.items():
        for name, entry in entries.items():
            registry_of(kind).register(entry, name, replace=True)


class Shipped:
    """Base of what goes to other processes: all that is registered here is registered there."""

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {_REGISTERED: registrations()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        register_again(state.pop(_REGISTERED))
        vars(self).update(state)


_REGISTERED = "registered in the process that sent this"


def loaded_registries() -> list[Registry[Any]]:
    """List the registries that this process has imported."""
    return [
        registry_of(kind)
        for kind, found in _REGISTRIES.items()
        if not isinstance(found, str) or found.partition(":")[0] in sys.modules
    ]


@overload
def register(
    entry: T, *, kind: str | None = None, name: str | None = None, replace: bool = False
) -> T: ...


@overload
def register(
    *, kind: str | None = None, name: str | None = None, replace: bool = False
) -> Callable[[T], T]: ...


def register(
    entry: Any = None, *, kind: str | None = None, name: str | None = None, replace: bool = False
) -> Any:
    """Give a sampler, rule, reader, evaluator or the like an id, in this process.

    From then on it is found by its id wherever one is asked for: by `create_sampler`, by studies
    and by their workers. A package that is installed names it as an entry point instead, and then
    the command line finds it too.

    Parameters
    ----------
    entry : object, optional
        A subclass of `Sampler`, `KeepingRule`, `Evaluator` or `Searcher`, an `Operation`, or a
        function: a
        reader takes the text after the colon of ``"name:PATH"`` and gives
        `proxysample.data.Splits`, a backbone takes nothing and gives an ``nn.Module``. Left out,
        this is a decorator.
    kind : {"sampler", "rule", "reader", "backbone", "evaluator", "searcher", "operation"}, optional
        Told by the class; functions need it.
    name : str, optional
        The id; by default the entry's attribute ``id``, or ``name``.
    replace : bool
        Take the place of what has this id already, which is an error otherwise.

    Returns
    -------
    object
        `entry`, or the decorator.

    Raises
    ------
    InputError
        If the kind cannot be told, the entry is none of it, or the id is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from proxysample import Sampler
    >>> @register
    ... class FirstSamples(Sampler):
    ...     id = "first"
    ...     def _score(self, samples, codes):
    ...         return np.arange(len(samples))
    >>> create_sampler("first").select(np.zeros((4, 2)), r=0.5).tolist()
    [0, 1]
    >>> SAMPLERS.unregister("first")
    """

    def decorate(given: T) -> T:
        registry = registry_of(_kind_of(given) if kind is None else kind)
        registry.register(given, name, replace=replace)
        return given

    return decorate if entry is None else decorate(entry)


def _kind_of(entry: object) -> str:
    # A class can only derive from a base that has been imported, and its registry with it.
    for registry in loaded_registries():
        if registry.base is not None and registry.accepts(entry):
            return registry.kind
    raise InputError(
        f"what {shown(entry)} is cannot be told: pass kind=, one of {', '.join(_REGISTRIES)}"
    )


def list_samplers() -> list[str]:
    """List the string ids of the samplers that pick from a dataset.

    Two more, ``"indices"`` and ``"ranking"``, take what was picked or ranked elsewhere.

    Returns
    -------
    list of str
        The paper's six first, then the other built-in ones, those that were registered, and
        those of plug-ins.

    Examples
    --------
    >>> list_samplers()[:8]
    ['rs', 'cc-rs', 'km-or', 'cc-or', 'ae', 'tl', 'herding', 'k-center']
    """
    return [name for name in SAMPLERS if name not in READY_MADE]


def sampler_class(name: str) -> type[Sampler]:
    """Look up a sampler's class by its id; `InputError` where there is none."""
    return SAMPLERS.get(name)


def create_sampler(name: str, **parameters: Any) -> Sampler:
    """Create a sampler by its id.

    Parameters
    ----------
    name : str
        One of `list_samplers`.
    **parameters
        Those of its class.

    Returns
    -------
    Sampler

    Raises
    ------
    InputError
        If the name or a parameter is unknown; the message suggests the nearest.

    Examples
    --------
    >>> create_sampler("km-or", n_clusters=50)
    KMeansOutlierRemoval(n_clusters=50)
    """
    found = sampler_class(name)
    check_names(f"parameter of {name}", parameters, found._get_param_names())
    try:
        return found(**parameters)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error


def takes_parameter(name: str, parameter: str) -> bool:
    """Tell whether a sampler has a parameter of that name.

    Examples
    --------
    >>> takes_parameter("rs", "random_state"), takes_parameter("cc-or", "random_state")
    (True, False)
    """
    return parameter in sampler_class(name)._get_param_names()
