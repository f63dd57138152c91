"""Whether anybody watches: bars of progress belong on a terminal or in a notebook, not in a log."""

from __future__ import annotations

import sys

from proxysample.errors import InputError
from proxysample.printing import shown


def hides_progress(progress: bool) -> bool:
    """Say whether a bar stays hidden: where it is not wanted, and where nobody watches.

    Parameters
    ----------
    progress : bool
        Whether it is wanted.

    Returns
    -------
    bool
        What ``tqdm(disable=...)`` takes.

    Examples
    --------
    >>> hides_progress(False)
    True
    """
    if not isinstance(progress, bool):
        raise InputError(f"progress must be True or False, not {shown(progress)}")
    return not (progress and _is_watched())


def _is_watched() -> bool:
    # A notebook's stream is no terminal, but has a reader.
    is_notebook = type(sys.stderr).__module__.partition(".")[0] == "ipykernel"
    return is_notebook or (sys.stderr is not None and sys.stderr.isatty())
