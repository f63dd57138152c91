"""Text of anyone's as a terminal, a page and a message can show it, and whether anybody watches."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

# Control characters, among them escapes and line breaks; marks that turn the direction of what
# follows or cannot be seen; and halves of characters. Joiners stay, which words are spelled with.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_UNSHOWABLE_IN_LINES = re.compile(_UNSHOWABLE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def cleaned(text: str) -> str:
    r"""Write what a terminal would act upon, or nobody would see, as escapes; on one line.

    Examples
    --------
    >>> cleaned("a\x1b[31m\nb"), cleaned("naïve 猫")
    ('a\\x1b[31m\\nb', 'naïve 猫')
    """
    return _UNSHOWABLE.sub(_escape, text)


def cleaned_lines(text: str) -> str:
    """Clean a text of several lines, which stay lines; their parts are cleaned before."""
    return _UNSHOWABLE_IN_LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def teller_of_warnings(write: Callable[[str], object]) -> Callable[..., None]:
    """Make what shows each warning once, on a line without a place in code that nobody knows.

    Parameters
    ----------
    write : callable
        Takes a line.

    Returns
    -------
    callable
        For `warnings.showwarning`.

    Examples
    --------
    >>> lines = []
    >>> tell = teller_of_warnings(lines.append)
    >>> for message in ("small", "grey", "small"):
    ...     tell(UserWarning(message), UserWarning, "images.py", 3)
    >>> lines
    ['warning: small', 'warning: grey']
    """
    told: set[str] = set()

    def tell(message: Warning | str, *_: object, **__: object) -> None:
        line = f"warning: {cleaned(str(message))}"
        if line not in told:
            told.add(line)
            write(line)

    return tell


def storable(text: str) -> str:
    r"""Give a text as UTF-8 can hold it; halves of characters, as of file names, become escapes.

    Examples
    --------
    >>> storable("a\udcff")
    'a\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value: Any, most: int = 80) -> str:
    """Write a value of anyone's for a message: at most so many characters, whatever its repr does.

    Examples
    --------
    >>> shown("a" * 100, 8), shown(10**5000)
    ("'aaaaaaa", 'a value of type int')
    """
    try:
        return cleaned(repr(value)[:most])
    # Such as of an integer of thousands of digits, a list within itself, or a class of anyone's.
    except Exception:
        return f"a value of type {type(value).__name__}"


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
    return not (progress and _is_watched())


def _is_watched() -> bool:
    # A notebook's stream is no terminal, but has a reader.
    is_notebook = type(sys.stderr).__module__.partition(".")[0] == "ipykernel"
    return is_notebook or (sys.stderr is not None and sys.stderr.isatty())
