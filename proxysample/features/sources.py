"""What samplers on features see of a sample: standardised pixels, or features from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import NotFittedError

from proxysample.checks import POSITIVE_INTEGER, as_array
from proxysample.data.decoding import tensor_to_array
from proxysample.data.reading import Samples
from proxysample.data.shortcuts import is_tensor
from proxysample.errors import InputError, SampleError
from proxysample.features.gram import gram_matrix, gram_pays
from proxysample.features.identity import refuse_others
from proxysample.features.precision import Widened, measure
from proxysample.features.rows import Array, Mapped, Rows, Workers, lengths
from proxysample.features.store import Features, find_features, is_kept
from proxysample.keeping import FloatArray
from proxysample.printing import shown


def mean_and_scale(rows: Rows, workers: Workers) -> tuple[FloatArray, FloatArray]:
    """Find what gives each feature zero mean and unit variance.

    Parameters
    ----------
    rows : Rows
        n rows with d features each.
    workers : Workers

    Returns
    -------
    mean : ndarray of shape (d,), float64
    scale : ndarray of shape (d,), float64
        Standard deviation over all rows (divided by n); 1 for a constant feature.

    Notes
    -----
    Means and squared deviations of blocks are merged as T. F. Chan, G. H. Golub and R. J.
    LeVeque do (Updating formulae and a pairwise algorithm for computing sample variances, 1979).

    Examples
    --------
    >>> with Workers() as workers:
    ...     mean_and_scale(Rows(np.array([[1.0, 5.0], [3.0, 5.0]])), workers)
    (array([2., 5.]), array([1., 1.]))
    """
    found = _moments(rows, np.ones(rows.n_features), workers)
    spread = found.highest - found.lowest
    magnitude = np.maximum(np.abs(found.lowest), np.abs(found.highest))
    # What rounding alone can make of a constant.
    constant = spread <= 64 * np.finfo(np.float64).eps * magnitude
    scale = np.sqrt(found.variance)
    if (~constant & (spread < LEAST_SPREAD)).any():
        # Squares of such differences vanish; a power of two changes no digit.
        units = 2.0 ** np.floor(np.log2(np.where(constant, 1.0, spread)))
        scale = np.sqrt(_moments(rows, units, workers).variance) * units
    return found.mean, np.where(constant, 1.0, scale)


LEAST_SPREAD = 1e-140


@dataclass(frozen=True)
class _Moments:
    mean: FloatArray
    variance: FloatArray
    lowest: FloatArray
    highest: FloatArray


def _moments(rows: Rows, units: FloatArray, workers: Workers) -> _Moments:
    """Find mean, variance and range of each feature; the variance in units squared."""
    count = 0
    mean = np.zeros(rows.n_features)
    squares = np.zeros(rows.n_features)
    lowest = np.full(rows.n_features, np.inf)
    highest = np.full(rows.n_features, -np.inf)

    def of_block(block: slice) -> tuple[int, FloatArray, FloatArray, FloatArray, FloatArray]:
        features = rows.read(block, np.float64)
        block_mean = features.mean(axis=0)
        deviations = np.square((features - block_mean) / units).sum(axis=0)
        return len(features), block_mean, deviations, features.min(axis=0), features.max(axis=0)

    for block_count, block_mean, block_squares, low, high in workers.map(of_block, rows.blocks()):
        total = count + block_count
        difference = block_mean - mean
        squares += block_squares + np.square(difference / units) * (count * block_count / total)
        mean += difference * (block_count / total)
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
        count = total
    return _Moments(mean, squares / count, lowest, highest)


# What `check_digits` lets pass: integers that double precision tells apart, and numbers whose
# squares it can add up.
LARGEST_INTEGER = 2**53
LARGEST_NUMBER = 1e140


def check_digits(source: Array) -> None:
    """Raise `InputError` for numbers that double precision cannot tell apart or square."""
    if source.dtype.kind not in "iuf" or source.dtype.itemsize < 8:
        return
    whole = source.dtype.kind in "iu"
    limit = LARGEST_INTEGER if whole else LARGEST_NUMBER
    for block in Rows(source).blocks():
        values = np.asarray(source[block])
        if not values.size or (values.max() <= limit and values.min() >= -limit):
            continue
        if whole:
            raise InputError(
                "the data hold integers beyond 2**53, of which double precision loses the last "
                "digits; subtract an integer such as the smallest of each column first"
            )
        raise InputError(
            f"the data hold numbers beyond {limit:g}, whose squares are beyond double precision; "
            "divide all by such as the largest first"
        )


OVERSAMPLING = 16
MOST_PASSES = 30
LEAST_GAIN = 1e-5


def principal_components(rows: Rows, n_components: int, workers: Workers) -> FloatArray:
    """Find the directions in which centred rows vary most.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, of zero mean.
    n_components : int
        At most d.
    workers : Workers

    Returns
    -------
    ndarray of shape (d, n_components), float64
        Orthonormal columns, the direction of the largest variance first.

    Notes
    -----
    Block power iteration from a random start with some columns to spare (N. Halko, P. G.
    Martinsson and J. A. Tropp, Finding structure with randomness, SIAM Review 53, 2011), which
    needs a few passes and no more memory than d times the number of columns. It stops where a
    pass adds less than 0.001 % to the variance that the components hold. Few rows of many
    features go through their scalar products instead; see `proxysample.features.gram`.

    Examples
    --------
    >>> with Workers() as workers:
    ...     components = principal_components(Rows(np.array([[3.0, 4.0], [-3.0, -4.0]])), 1, workers)
    >>> np.abs(components[:, 0]).round(6).tolist()
    [0.6, 0.8]
    """  # noqa: E501
    return _components(rows, n_components, workers)[0]


def exact_components(rows: Rows, n_components: int, workers: Workers) -> FloatArray:
    """Find principal components as `principal_components` does, in the precision that they need.

    The last of them may hold so little beside the first that single precision cannot tell.
    """
    at_hand = rows.cached(workers)
    if measure(at_hand, workers).fits_float32:
        components, variances = _components(at_hand, n_components, workers)
        if variances[-1] >= LEAST_VARIANCE * variances[0]:
            return components
    widened = Widened.of(rows, workers, movable=False)
    return _components(widened.rows, n_components, workers)[0]


# Of the first component's variance: the least of the last one that single precision tells.
LEAST_VARIANCE = 1e-4


def _components(rows: Rows, n_components: int, workers: Workers) -> tuple[FloatArray, FloatArray]:
    """Give principal components, and the sum of squares along each, the largest first."""
    if n_components <= len(rows) and gram_pays(len(rows), rows.n_features):
        return _components_by_products(rows, n_components, workers)
    n_features = rows.n_features
    n_columns = min(n_components + OVERSAMPLING, n_features)
    product: FloatArray = np.random.default_rng(0).standard_normal((n_features, n_columns))
    held = 0.0
    for _ in range(MOST_PASSES):
        basis, _ = np.linalg.qr(product)
        product = _times_scatter(rows, basis, workers)
        variances, rotation = np.linalg.eigh(basis.T @ product)
        before, held = held, float(variances[-n_components:].sum())
        if held - before <= LEAST_GAIN * held:
            break
    components: FloatArray = basis @ rotation[:, ::-1][:, :n_components]
    return components, variances[::-1][:n_components]


def _components_by_products(
    rows: Rows, n_components: int, workers: Workers
) -> tuple[FloatArray, FloatArray]:
    """Find the components of rows of many features from their scalar products."""
    variances, vectors = np.linalg.eigh(gram_matrix(rows, workers))
    weights = vectors[:, ::-1][:, :n_components]

    def weigh(block: slice) -> FloatArray:
        product: FloatArray = rows.read(block, np.float64).T @ weights[block]
        return product

    combined = np.zeros((rows.n_features, n_components))
    for part in workers.map(weigh, rows.blocks()):
        combined += part
    # Orthonormal already, but for their length; where the rows do not span so many, any will do.
    components, _ = np.linalg.qr(combined)
    return components, variances[::-1][:n_components]


def _times_scatter(rows: Rows, basis: FloatArray, workers: Workers) -> FloatArray:
    """Compute ``X.T @ X @ basis``."""
    narrow = basis.astype(rows.precision)

    def multiply(block: slice) -> FloatArray:
        features = rows.read(block)
        product: FloatArray = features.T @ (features @ narrow)
        return product.astype(np.float64, copy=False)

    total = np.zeros(basis.shape)
    for product in workers.map(multiply, rows.blocks()):
        total += product
    return total


PIXELS = "pixels"

# Images that a callable gets at a time. It may be part of the callable's arithmetic, so it is a
# constant and never follows a user's batch size.
IMAGES_PER_CALL = 256


def check_features(features: object, n_components: object) -> None:
    """Raise `InputError` where features of that kind cannot be had; see `feature_rows`."""
    if n_components is not None:
        POSITIVE_INTEGER.check("n_components", n_components)
    if hasattr(features, "__array__"):
        shape = _as_array(features).shape
        if len(shape) != 2:
            raise InputError(f"features have shape {shape}; needed: (n, d)")
        return
    if is_kept(features):
        return
    known = isinstance(features, str) or hasattr(features, "transform") or callable(features)
    if not known or isinstance(features, type):
        given = "a list: np.asarray it" if isinstance(features, list) else shown(features)
        raise InputError(
            "features must be 'pixels', the name of a timm model, an nn.Module, an array (n, d), "
            "features kept by embed (or 'embed:FOLDER'), a callable or a fitted object with "
            f"transform(samples), not {given}"
        )
    if isinstance(features, str) and Path(features).suffix in (".npy", ".npz"):
        raise InputError(f"features={features!r} names a file: pass the array, np.load of it")


def feature_rows(
    samples: Samples,
    features: Any,
    *,
    n_components: int | None = None,
    centred: bool = True,
    device: Any = "auto",
    progress: bool = False,
    workers: Workers,
) -> Rows:
    """Turn samples into features of zero mean.

    Parameters
    ----------
    samples : Samples
        n images or feature vectors.
    features : "pixels", str, path, ndarray, nn.Module, callable or object with ``transform``
        ``"pixels"``: all values of a sample, each scaled to unit variance over the dataset, as
        they are in the paper's code; a constant one becomes zero. An array of shape (n, d), or
        what `proxysample.embed` made; ``"embed:FOLDER"`` or a path says where that lies. A fitted
        object: ``transform(samples)`` gives (n, d). An ``nn.Module`` or the name of a timm model:
        its output (n, d) in evaluation mode; a module gets float32 images, channels first, in
        [0, 1], a timm model also gets them normalised as in its training. Any other callable
        gets up to `IMAGES_PER_CALL` images, channels last and as the dataset has them, and gives
        a row of features for each.
    n_components : int, optional
        Project on so many principal components.
    centred : bool
        Whether features other than pixels are taken about their mean.
    device : str or torch.device
        Where a module or a timm model runs.
    progress : bool
        Show a progress bar while a module or a timm model runs.
    workers : Workers

    Returns
    -------
    Rows
        n rows. Pixels and given arrays are read anew for each pass where they are large.

    Raises
    ------
    InputError
        If there is not one finite row a sample, or fewer dimensions than `n_components`, or
        an object is not fitted.
    MissingDependencyError
        If a timm model is named and timm is not installed.

    Examples
    --------
    >>> samples = Samples(np.array([[[0, 9]], [[2, 9]]], dtype=np.uint8))
    >>> with Workers() as workers:
    ...     feature_rows(samples, "pixels", workers=workers).read(slice(0, 2)).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    if isinstance(features, str) and features == PIXELS:
        check_digits(samples.images)
        source = Rows(samples.images)
        mean, scale = mean_and_scale(source, workers)
        rows = Rows(samples.images, shift=mean, scale=scale)
    else:
        source = Rows(_checked(_computed(samples, features, device, progress), len(samples)))
        rows = replace(source, shift=mean_and_scale(source, workers)[0]) if centred else source
    if n_components is None:
        return rows
    if n_components > min(len(rows), rows.n_features):
        raise InputError(
            f"n_components={n_components} for {len(rows)} samples of {rows.n_features} features; "
            f"it can be {min(len(rows), rows.n_features)} at most"
        )
    return rows.projected(exact_components(rows, n_components, workers))


def directions(rows: Rows, workers: Workers) -> Rows:
    """Scale each row to unit length, which is what the cosine compares.

    Parameters
    ----------
    rows : Rows
    workers : Workers

    Returns
    -------
    Rows
        Read anew for each pass, as the given ones are.

    Raises
    ------
    InputError
        If a row is all zero.

    Examples
    --------
    >>> with Workers() as workers:
    ...     rows = directions(Rows(np.array([[3.0, 4.0], [0.0, -2.0]])), workers)
    >>> rows.read(slice(0, 2), np.float64).tolist()
    [[0.6, 0.8], [0.0, -1.0]]
    """

    def find_zero(block: slice) -> int | None:
        zero = np.flatnonzero(lengths(rows.read(block, np.float64)) == 0)
        return block.start + int(zero[0]) if len(zero) else None

    for index in workers.map(find_zero, rows.blocks()):
        if index is not None:
            raise SampleError(
                index,
                " are all zero and have no direction; drop it, or take metric='euclidean'",
                before="the features of ",
            )
    return Rows(Mapped(rows, _unit))


def _unit(features: FloatArray) -> FloatArray:
    return features / lengths(features)[:, np.newaxis]


def _computed(samples: Samples, features: Any, device: Any, progress: bool) -> Any:
    if hasattr(features, "__array__") or is_kept(features):
        return given_rows(samples, features)
    if is_network(features):
        return _embedded(samples, features, device, progress)
    if hasattr(features, "transform"):
        return _transformed(samples, features)
    return _called(samples, features)


def _embedded(samples: Samples, backbone: Any, device: Any, progress: bool) -> Any:
    from proxysample.device import resolve_device
    from proxysample.features.backbones import as_backbone, extract_features
    from proxysample.features.batches import ImageTensors

    named_size = samples.image_size if isinstance(backbone, str) else None
    network = as_backbone(backbone, input_size=named_size)
    images = ImageTensors(samples, resolve_device(device), any_range=network.any_range)
    return extract_features(network.to(images.device), images, progress)


def given_rows(samples: Samples, features: Any) -> Array | Features:
    """Give features that are an array or kept on disk, unchecked: a row a sample."""
    found = find_features(features, samples.every) if is_kept(features) else features
    if isinstance(found, Features):
        refuse_others(found, samples.every)
    if samples.taken is None:
        return found if isinstance(found, Features) else _as_array(found)
    rows = _as_array(found)
    return rows[samples.taken] if len(rows) == len(samples.every) else rows


def given_features(samples: Samples, features: Any) -> Array | Features:
    """Give features that are an array, or kept on disk, checked: a row a sample."""
    rows = given_rows(samples, features)
    array = _checked(rows, len(samples))
    return rows if isinstance(rows, Features) else array


def labels_beside(samples: Samples, features: Any) -> Array | None:
    """Give the labels that are kept beside features on disk; None where there are none."""
    kept = find_features(features, samples.every) if is_kept(features) else features
    labels = kept.labels if isinstance(kept, Features) else None
    return labels if labels is None or samples.taken is None else labels[samples.taken]


def _transformed(samples: Samples, fitted: Any) -> Any:
    try:
        return fitted.transform(samples)
    except NotFittedError as error:
        raise InputError(
            f"features={type(fitted).__name__}(...) is not fitted: call its fit(dataset) first "
            f"({error})"
        ) from error


def _called(samples: Samples, function: Callable[[Array], Any]) -> Array:
    images = samples.images
    parts = []
    for start in range(0, len(images), IMAGES_PER_CALL):
        batch = np.asarray(images[start : start + IMAGES_PER_CALL])
        part = _as_array(function(batch))
        if part.ndim != 2 or len(part) != len(batch):
            raise InputError(
                f"the callable gives features of shape {part.shape} for {len(batch)} images; "
                f"needed: ({len(batch)}, d)"
            )
        parts.append(part)
    return np.concatenate(parts)


def _checked(features: Any, n_samples: int) -> Array:
    array = _as_array(features)
    fits = array.ndim == 2 and len(array) == n_samples and array.shape[1] > 0
    if not fits or array.dtype.kind not in "fiub":
        raise InputError(
            f"features have shape {array.shape} and type {array.dtype}; needed: a row of numbers "
            f"for each of the {n_samples} samples"
        )
    rows = Rows(array)
    for block in rows.blocks():
        finite = np.isfinite(array[block]).all(axis=1)
        if not finite.all():
            index = block.start + int(np.argmin(finite))
            raise SampleError(
                index,
                " hold NaN or infinite values; repair them, or leave it out with broken='skip'",
                before="the features of ",
            )
    check_digits(array)
    return array


def _as_array(features: Any) -> Array:
    return tensor_to_array(features) if is_tensor(features) else as_array("features", features)


def reads_for(features: object) -> Literal["nothing", "pixels", "features"]:
    """Tell what making features reads of a dataset: nothing where they are an array or on disk."""
    if hasattr(features, "__array__") or is_kept(features):
        return "nothing"
    return "features" if is_network(features) else "pixels"


def is_network(features: object) -> bool:
    """Tell whether features are those of an ``nn.Module`` or a named backbone."""
    if isinstance(features, str):
        return features != PIXELS and not is_kept(features)
    return _is_module(features)


def _is_module(features: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(features, torch.nn.Module)
