"""What the two command lines share: errors as messages, ratios, and lists of what there is."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from proxysample.errors import InputError, ProxysampleError
from proxysample.keeping import check_ratio
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
        try:
            app()
        except ProxysampleError as error:
            typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
            sys.exit(2)
    sys.exit(0)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)


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
        raise InputError(f"r must be a number in (0, 1], such as 0.25, not {text!r}") from None
    return check_ratio(value)


def list_entries(registry: Registry[Any]) -> None:
    """Print what a registry holds: id, class, the first line of its help, and whose it is.

    A plug-in that cannot be loaded is listed with the reason.
    """
    names = list(registry)
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:{width}}  {_describe(registry, name)}")


def _describe(registry: Registry[Any], name: str) -> str:
    package = registry.package(name)
    origin = "" if package is None else f" [package {package}]"
    try:
        entry = registry.get(name)
    except InputError as error:
        return f"{error}{origin}"
    lines = (entry.__doc__ or "").strip().splitlines()
    return f"{entry.__name__}: {lines[0] if lines else 'has no help'}{origin}"
