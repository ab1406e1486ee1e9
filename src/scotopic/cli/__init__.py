"""The command line: the app, its commands, and how it ends. Commands parse, call, report; no arithmetic."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from typer.core import TyperGroup

from scotopic.asked import wrong
from scotopic.cli.calibrate import calibrate_command
from scotopic.cli.enhance import develop_command, enhance_command
from scotopic.cli.evaluate import evaluate_app
from scotopic.cli.inspect import compare_command, info_command
from scotopic.cli.report import errors, farewell
from scotopic.cli.research import models_app, simulate_app, train_command
from scotopic.cli.web import serve_command, site_command
from scotopic.errors import NO_ROOM, NOT_ALLOWED, unwritten
from scotopic.signals import ENDINGS, STOPPED, heeded
from scotopic.version import __version__


class _InOwnWords(TyperGroup):
    """The commands; what is wrong with an option's value is said in our words, whatever library found it."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if found := getattr(error.__cause__, "errors", None):
                error.message = wrong(found()[0])
            raise


app = typer.Typer(
    cls=_InOwnWords,
    help="See in the dark: RAW photos shot in near darkness become bright, clean pictures in true colour.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,
)
app.command("enhance")(enhance_command)
app.command("develop")(develop_command)
app.command("info")(info_command)
app.command("compare")(compare_command)
app.add_typer(models_app, name="models")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(simulate_app, name="simulate")
app.command("train")(train_command)
app.command("calibrate")(calibrate_command)
app.command("serve")(serve_command)
app.command("site")(site_command)


PIPE_CLOSED = 141
"""The exit status of what ends because nobody reads on: as of a program that SIGPIPE ends."""


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM; not KeyboardInterrupt, which the argument parser would swallow."""


def main() -> None:
    """Run the command line; the entry point of the `scotopic` command."""
    _open_what_is_shut()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _StandardOutput(sys.stdout)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be valid text.
            stream.reconfigure(errors="backslashreplace")
    for number in heeded():
        signal.signal(number, _stop)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except _Stopped:
        errors.print(farewell.words)
        sys.exit(STOPPED)
    except SystemExit as ended:
        # The argument parser's own, which makes a failure of it.
        if isinstance(ended.__context__, BrokenPipeError):
            sys.exit(PIPE_CLOSED)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        if error.filename != STANDARD_OUTPUT:
            if error.errno not in (*NO_ROOM, *NOT_ALLOWED):
                raise
            # Of a shell's settings, say, which --install-completion writes.
            errors.print(f"scotopic: {unwritten(error.filename or 'a file', error)}")
            sys.exit(1)
        # Nor is the interpreter to try again on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        errors.print(f"scotopic: standard output cannot be written ({error.strerror}): send it elsewhere")
        sys.exit(1)


STANDARD_OUTPUT = "<stdout>"
"""The file's name in errors of what is written to it, and of nothing else."""


class _StandardOutput(io.TextIOWrapper):
    """Standard output, whose errors say that they are of it: a disk that is full elsewhere has the same ones."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        # What is over it already is kept alive: it would close the file on its way out.
        self._before = stream
        stream.flush()
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str, /) -> int:
        with _of_standard_output():
            return super().write(text)

    def flush(self) -> None:
        with _of_standard_output():
            super().flush()


@contextmanager
def _of_standard_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = STANDARD_OUTPUT
        raise


def _open_what_is_shut() -> None:
    """Nothing in place of standard streams that a shell or a service manager has shut: what is opened next would be
    taken for them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for as long as the program
            try:
                os.fstat(number)
            except OSError:
                os.dup2(getattr(sys, name).fileno(), number)
            # For the processes begun from here too.
            os.set_inheritable(number, True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Tidying up takes a moment, which a second Ctrl-C is not to spoil.
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def _version(value: bool) -> None:
    if value:
        typer.echo(f"scotopic {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass
