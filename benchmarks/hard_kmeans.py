"""K-Means on hard features: inertia by every backend beside scikit-learn's, and few large photos.

Ratios of 1 say that a backend comes to scikit-learn's inertia in float64, of the same run. The
photos have more features than there are samples; seconds are of the processor.

    python benchmarks/hard_kmeans.py --photos 100 --size 224
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from proxysample import KMeansOutlierRemoval, load_dataset

BACKENDS = ("numpy", "scikit-learn", "faiss", "torch")
N_CLUSTERS = 20

Array = Any


def hard_features(n_rows: int = 400) -> dict[str, Array]:
    """Make features that single precision does not hold, or cannot tell apart."""
    generator = np.random.default_rng(0)
    middles = generator.normal(0, 5, (N_CLUSTERS - 1, 8))
    plain = middles[np.arange(n_rows) % len(middles)] + generator.normal(0, 0.2, (n_rows, 8))
    one_far = plain.copy()
    one_far[3, 2] = 1e7
    return {
        "plain": plain,
        "one value of 1e7": one_far,
        "times 1e-25": plain * 1e-25,
        "times 1e60": plain * 1e60,
        "plus 1e8": plain + 1e8,
        "one column times 1e8": plain * np.where(np.arange(8) == 1, 1e8, 1),
    }


def reference(features: Array) -> float:
    """Give the inertia that scikit-learn comes to in float64, in a unit of its own."""
    unit = np.abs(features).max()
    fitted = KMeans(N_CLUSTERS, n_init=8, tol=0, random_state=0).fit(features / unit)
    return float(fitted.inertia_ * unit**2)


def ratio(features: Array, backend: Any) -> str:
    """Run one backend and compare; an error is named by its kind."""
    sampler = KMeansOutlierRemoval(
        n_clusters=N_CLUSTERS,
        features=features,
        backend=backend,
        device="cpu",
        n_init=8,
        random_state=0,
    )
    try:
        found = sampler.fit(np.zeros((len(features), 1))).inertia_
    except Exception as error:
        return type(error).__name__
    return f"{found / reference(features):.3g}"


def table_of_ratios(cases: Mapping[str, Array]) -> list[str]:
    """Write a Markdown table: a row for each kind of features."""
    lines = [f"| features | {' | '.join(BACKENDS)} |", "|---" * (1 + len(BACKENDS)) + "|"]
    for name, features in cases.items():
        ratios = (ratio(features, backend) for backend in BACKENDS)
        lines.append(f"| {name} | {' | '.join(ratios)} |")
    return lines


def cpu_seconds(run: Callable[[], Any]) -> float:
    """Time a call by the processor."""
    started = time.process_time()
    run()
    return time.process_time() - started


def photos_line(n_photos: int, size: int) -> str:
    """Time few large photos, by the sampler and by scikit-learn on all features."""
    shape = (n_photos, size, size, 3)
    photos = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    n_clusters = min(N_CLUSTERS, n_photos // 2)
    sampler = KMeansOutlierRemoval(n_clusters=n_clusters, random_state=0)
    ours = cpu_seconds(lambda: sampler.fit(photos))
    fitted = KMeans(n_clusters, n_init=4, random_state=0)

    def by_scikit_learn() -> None:
        flat = photos.reshape(n_photos, -1).astype(np.float64)
        fitted.fit(StandardScaler(copy=False).fit_transform(flat))

    theirs = cpu_seconds(by_scikit_learn)
    return (
        f"{n_photos} photos of {size} px: {ours:.2f} s of CPU, scikit-learn {theirs:.2f} s; "
        f"inertia {sampler.inertia_ / fitted.inertia_:.4f} of its."
    )


def outliers_line() -> str:
    """Count how many of six images of noise are kept among the digits, at r = 0.25."""
    images = load_dataset("digits").train.images
    noise = np.random.default_rng(0).integers(0, 256, (6, *images.shape[1:]), dtype=np.uint8)
    everything = np.concatenate([images, noise])
    kept = KMeansOutlierRemoval(random_state=0).select(everything, 0.25)
    return f"Of 6 images of noise among {len(images):,} digits {(kept >= len(images)).sum()} kept."


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and the two lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args(arguments)
    print("\n".join(table_of_ratios(hard_features())))
    print(f"\n{photos_line(options.photos, options.size)}\n\n{outliers_line()}")


if __name__ == "__main__":
    main()
