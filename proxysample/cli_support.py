"""What the two command lines share: errors as messages, ratios, and lists of what there is."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from proxysample.errors import InputError, ProxysampleError
from proxysample.keeping import check_ratio
from proxysample.printing import cleaned, cleaned_lines, shown
from proxysample.registry import Registry


def make_app(help_text: str) -> typer.Typer:
    """Make a command line: ``-h`` helps, and ``--install-completion`` teaches a shell its words."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"proxysample {version('proxysample')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
    ),
]


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line; errors that the project raises on purpose, and warnings, become messages.

    Parameters
    ----------
    app : typer.Typer
        The commands.
    """
    # What shows warnings is restored on leaving, and which are shown stays as it is.
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        sys.exit(_run(app))


def _run(app: typer.Typer) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files are bytes, of which not all are characters of the terminal's.
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        code = _exit_code(app)
        sys.stdout.flush()
    except ProxysampleError as error:
        return _fail(str(error))
    except OSError as error:
        _stop_writing()
        if error.errno == errno.EPIPE:
            # Whoever reads has read enough.
            return code or 1
        where = "standard output" if error.filename is None else str(error.filename)
        return _fail(f"{where}: {(error.strerror or str(error)).lower()}")
    return code


def _exit_code(app: typer.Typer) -> int:
    try:
        app()
    except SystemExit as end:
        if isinstance(end.code, str):
            echo(end.code, err=True)
            return 1
        return end.code or 0
    return 0


def _fail(message: str) -> int:
    # Where even that cannot be said, the exit code says it.
    with suppress(OSError):
        echo(f"error: {message}", err=True, colour=typer.colors.RED)
    return 2


def _stop_writing() -> None:
    """Drop what is in the buffers: it cannot be written, and Python would try again on leaving."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def echo(text: object, *, err: bool = False, colour: str | None = None) -> None:
    """Print text for a person: lines stay, and what a terminal would act upon is escaped."""
    typer.secho(cleaned_lines(str(text)), fg=colour, err=err)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    echo(f"warning: {cleaned(str(message))}", err=True, colour=typer.colors.YELLOW)


def parse_ratio(text: str) -> float:
    """Read a ratio from a word.

    Parameters
    ----------
    text : str
        Such as ``"0.25"``.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    InputError
        If it is not a number in (0, 1].

    Examples
    --------
    >>> parse_ratio("0.25")
    0.25
    """
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"r must be a number in (0, 1], such as 0.25, not {shown(text)}") from None
    return check_ratio(value)


def list_entries(registry: Registry[Any]) -> None:
    """Print what a registry holds: id, class, the first line of its help, and whose it is.

    A plug-in that cannot be loaded is listed with the reason.
    """
    names = list(registry)
    width = max(map(len, names))
    for name in names:
        echo(cleaned(f"{name:{width}}  {_describe(registry, name)}"))


def _describe(registry: Registry[Any], name: str) -> str:
    package = registry.package(name)
    origin = "" if package is None else f" [package {package}]"
    try:
        entry = registry.get(name)
    except InputError as error:
        return f"{error}{origin}"
    lines = (entry.__doc__ or "").strip().splitlines()
    return f"{entry.__name__}: {lines[0] if lines else 'has no help'}{origin}"
