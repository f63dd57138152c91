"""What the two command lines share: errors as messages, ratios, and lists of what there is."""

from __future__ import annotations

import errno
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_type_hints

import typer

from proxysample.errors import InputError, ProxysampleError
from proxysample.keeping import check_ratio
from proxysample.own_modules import import_modules
from proxysample.printing import cleaned, cleaned_lines, shown, teller_of_warnings
from proxysample.registry import Registry

if TYPE_CHECKING:
    from proxysample.experiments.store import Store

QUIET_HELP = "Print what was asked for, warnings and errors, and nothing else."
VERBOSE_HELP = "Show progress, and more of what is done."


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help=QUIET_HELP)]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help=VERBOSE_HELP)]
ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="A module of yours, in this folder or where Python finds it: samplers, searchers, "
        "operations and the like that it has are known by their ids. Repeat.",
    ),
]

# What the list of modules is called among a command's arguments.
_MODULES = "own_modules"
_ASKED: ContextVar[frozenset[str]] = ContextVar("asked", default=frozenset())


def _telling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a command take ``-q``, ``-v`` and ``--import``, whether its function does or not."""
    hints = get_type_hints(function, include_extras=True)
    added: dict[str, Any] = {_MODULES: ImportOption, "quiet": QuietOption, "verbose": VerboseOption}
    own = signature(function).parameters
    added = {name: hint for name, hint in added.items() if name not in own}

    @wraps(function)
    def command(**given: Any) -> Any:
        token = _ASKED.set(frozenset(name for name in ("quiet", "verbose") if given.get(name)))
        try:
            import_modules(given.get(_MODULES))
            return function(**{name: given[name] for name in own})
        finally:
            _ASKED.reset(token)

    command.__annotations__ = hints | added
    known = [one.replace(annotation=hints.get(name, one.annotation)) for name, one in own.items()]
    flags = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=None if name == _MODULES else False,
            annotation=hint,
        )
        for name, hint in added.items()
    ]
    command.__signature__ = Signature([*known, *flags])  # type: ignore[attr-defined]
    return command


def is_asked(name: str) -> bool:
    """Tell whether the command that runs was given ``--quiet`` or ``--verbose``."""
    return name in _ASKED.get()


def say(words: object) -> None:
    """Print a line that a person should know, unless they want nothing beside the result."""
    if not is_asked("quiet"):
        echo_line(words)


def wanted_progress() -> dict[str, bool]:
    """Give ``progress`` as ``-q`` or ``-v`` has it; nothing where neither was given."""
    if is_asked("quiet"):
        return {"progress": False}
    return {"progress": True} if is_asked("verbose") else {}


class App(typer.Typer):
    """A command line whose commands all take ``-q``, ``-v`` and ``--import``."""

    def command(self, name: str | None = None, **options: Any) -> Callable[..., Any]:
        """Add a command; see `typer.Typer.command`."""
        decorate = super().command(name, **options)

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            decorate(_telling(function))
            return function

        return add


def make_app(help_text: str) -> typer.Typer:
    """Make a command line: ``-h`` helps, and ``--install-completion`` teaches a shell its words."""
    return App(
        help=help_text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _print_version(asked: bool) -> None:
    if asked:
        from proxysample.machine import own_version

        typer.echo(f"proxysample {own_version()}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
    ),
]


# How experiments are run: the same for comparisons, rankings and studies.
WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="Processes; by default one a core.")
]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Of each experiment.")]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="in-process, processes or ray; by default in-process for one worker.",
    ),
]
GpusOption = Annotated[
    float | None,
    typer.Option("--gpus", help="Of each experiment on Ray, such as 0.25 to share one."),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Of a running Ray cluster; by default one starts here."),
]
RetryFailedOption = Annotated[
    bool, typer.Option("--retry-failed", help="Run experiments again that failed.")
]
CountOption = Annotated[
    list[int] | None,
    typer.Option("--number", "-n", help="Number of samples to keep, beside -r. Repeat."),
]
MaxHoursOption = Annotated[
    float | None,
    typer.Option(
        "--max-hours", help="End after so long; what had finished is kept, for the next run."
    ),
]


def run_to_end(run: Callable[..., int], **options: Any) -> int:
    """Run what goes on where it stopped, and say so where it was ended; give how many failed."""
    from proxysample.experiments.runner import RunInterrupted

    began = time.monotonic()
    goes_on = "what had finished is kept, and the same command goes on"
    try:
        n_failed = run(**options)
    except RunInterrupted as interruption:
        echo(f"ended by {interruption}: {goes_on}", err=True, colour="yellow")
        raise typer.Exit(interruption.exit_code) from None
    max_hours = options["max_hours"]
    if max_hours is not None and time.monotonic() - began >= 3600 * max_hours:
        echo(f"{max_hours:g} hours are over: {goes_on}", err=True, colour="yellow")
    return n_failed


def tell_failures(n_failed: int, *stores: Store) -> None:
    """Say what has failed, if anything has, and end with an error."""
    if not n_failed:
        return
    for failure in (failure for store in stores for failure in store.failures()):
        echo(f"failed: {failure.kind}: {failure.error}", colour="red", err=True)
    raise InputError(
        f"{n_failed} experiments failed, or need one that did; the same command with "
        "--retry-failed runs them again"
    )


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line; errors that the project raises on purpose, and warnings, become messages.

    Parameters
    ----------
    app : typer.Typer
        The commands.
    """
    # What shows warnings is restored on leaving, and which are shown stays as it is.
    with warnings.catch_warnings():
        warnings.showwarning = teller_of_warnings(
            partial(echo, err=True, colour=typer.colors.YELLOW)
        )
        sys.exit(_run(app))


def _open_closed_streams() -> None:
    """Put something in the place of streams that were closed before the process began.

    What is written to standard output is then an error as on a full disk; messages are lost.
    """
    for name, mode in (("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, mode), "w"))


def _run(app: typer.Typer) -> int:
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files are bytes, of which not all are characters of the terminal's.
            # A pipe whose other end is gone cannot be flushed first, and is found so later.
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    try:
        # Libraries that are found relative to it end the process without it.
        Path.cwd()
    except OSError:
        return _fail("the folder that this was started in is gone; change into another one")
    code = 0
    try:
        code = _exit_code(app)
        sys.stdout.flush()
    except ProxysampleError as error:
        return _fail(str(error))
    except UnicodeEncodeError as error:
        return _fail(f"{shown(error.object)} has characters that no name of a file has")
    except OSError as error:
        _stop_writing()
        if error.errno == errno.EPIPE:
            # Whoever reads has read enough.
            return code or 1
        where = "standard output" if error.filename is None else str(error.filename)
        return _fail(f"{cleaned(where)}: {(error.strerror or str(error)).lower()}")
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


def echo_line(text: object, *, err: bool = False) -> None:
    """Print a line for a person; what would break it, as a name of a file may, is escaped."""
    echo(cleaned(str(text)), err=err)


OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace a file that is there already.")
]


def refuse_existing(paths: Iterable[str | Path | None], overwrite: bool) -> None:
    """Refuse files that are there already, before any work, unless they are to be replaced."""
    for path in paths:
        # What is no file, such as /dev/stdout or standard output's -, loses nothing.
        if not overwrite and path not in (None, "-") and Path(path).is_file():
            raise InputError(
                f"{path} is there already: name another file, or pass --overwrite to replace it"
            )


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

    A plug-in that cannot be loaded is listed with the reason. ``-q`` prints ids alone, and ``-v``
    parameters, too.
    """
    names = list(registry)
    if is_asked("quiet"):
        typer.echo("\n".join(names))
        return
    width = max(map(len, names))
    for name in names:
        echo(cleaned(f"{name:{width}}  {_describe(registry, name)}"))
        if is_asked("verbose"):
            echo(cleaned(f"{'':{width}}  {_parameters(registry, name)}"))


def _parameters(registry: Registry[Any], name: str) -> str:
    try:
        known = signature(registry.get(name)).parameters.values()
    except (InputError, TypeError, ValueError):
        return "parameters unknown"
    words = [
        one.name if one.default is Parameter.empty else f"{one.name}={one.default!r}"
        for one in known
    ]
    return f"({', '.join(words)})"


def _describe(registry: Registry[Any], name: str) -> str:
    package = registry.package(name)
    origin = "" if package is None else f" [package {package}]"
    try:
        entry = registry.get(name)
    except InputError as error:
        return f"{error}{origin}"
    return f"{_first_line(entry)}{origin}"


def _first_line(entry: type) -> str:
    lines = (entry.__doc__ or "").strip().splitlines()
    # What Python writes for a dataclass is its signature.
    if not lines or lines[0].startswith(f"{entry.__name__}("):
        lines = ["has no help"]
    return f"{entry.__name__}: {lines[0]}"
