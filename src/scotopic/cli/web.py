"""The commands of the page: `scotopic serve` and `scotopic site`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from scotopic.cli.report import Device, DeviceName, Overwrite, errors, exit_on_error, farewell, need
from scotopic.disk.files import check_there
from scotopic.errors import SettingsError

STOPPED = "stopped; no pictures are left here"
_NEEDED = ("fastapi", "uvicorn", "onnx")


def serve_command(
    host: Annotated[
        str,
        typer.Option(
            help="An address of this machine; 0.0.0.0 for all of IPv4, :: for all of IPv6. Default: itself alone."
        ),
    ] = "localhost",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    page_only: Annotated[
        bool, typer.Option("--page-only", help="The page alone: this computer does no work for it.")
    ] = False,
    upload_max: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="The largest file that is taken for work here.")
    ] = 512,
    device: Device = DeviceName.auto,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A name by which the server may be called, such as behind a proxy."
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM, to serve https; with --key.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM, the certificate's key.")] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No line about each picture on standard error.")
    ] = False,
    temp: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where pictures lie meanwhile. Default: TMPDIR, or the system's, often /tmp.",
        ),
    ] = None,
) -> None:
    """Serve the page on this computer, which can also do the work for it.

    The page enhances pictures in the browser itself. See docs/phone.md for phones, docs/api.md for programs.
    """
    farewell.words = STOPPED
    with exit_on_error():
        need(_NEEDED, "web")
        from scotopic.inference.devices import check_device
        from scotopic.web.limits import Limits
        from scotopic.web.server import Serving, serve

        if (certificate is None) != (key is None):
            raise SettingsError("--certificate and --key belong together: give both, or neither")
        for file in (certificate, key):
            if file is not None:
                check_there(file, SettingsError)
        serving = Serving(
            host=host.strip("[]").lower(),
            port=port,
            names=frozenset(_checked(name) for name in allow_host or ()),
            api=not page_only,
            device=device.value,
            limits=Limits(upload_bytes=upload_max << 20),
            certificate=certificate,
            key=key,
            quiet=quiet,
            temporary=temp.absolute() if temp is not None else None,
        )

        def ready(address: str) -> None:
            if not serving.is_local:
                _warn(serving.scheme, serving.api)
            typer.echo(f"scotopic is at {address}  (Ctrl-C stops it)")
            if open_browser:
                webbrowser.open(address)

        if serving.api:
            check_device(serving.device)
        serve(serving, ready)
        typer.echo(STOPPED)


def _checked(name: str) -> str:
    """A name for --allow-host as browsers send it. Raises SettingsError for what is none."""
    from scotopic.web.guard import host_of

    lowered = name.strip().lower().removesuffix(".")
    if not lowered or host_of(lowered) not in (lowered, lowered.strip("[]")):
        raise SettingsError(
            f"--allow-host {name!r}: is no name; give it without scheme, port and path, such as dark.example"
        )
    return lowered.strip("[]")


def _warn(scheme: str, api: bool) -> None:
    """Say what serving to other machines means."""
    if scheme == "http":
        errors.print(
            "warning: other machines reach the page by plain http, where browsers let it neither work offline nor "
            "be installed, and give it one thread; what is sent can be read on the way. Use https (--certificate "
            "and --key, or a proxy), or for a phone on a cable: adb reverse tcp:8000 tcp:8000 (docs/phone.md)"
        )
    if api:
        errors.print(
            "warning: whoever reaches this address can let this computer work; --page-only serves the page alone"
        )


def site_command(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if need be.", show_default=False)],
    compress: Annotated[
        bool, typer.Option(help="Beside each file put .br and .gz, which hosts send if told to.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write the page as static files, for any https host.

    A folder written before is replaced. Other files in it are never touched, and need --overwrite.
    """
    with exit_on_error():
        need(_NEEDED[2:], "web")
        from scotopic.web.site import write_site

        written = write_site(folder, compress=compress, overwrite=overwrite)
        size = (
            f"; the first visit loads {written.first_download / 1e6:.1f} MB"
            if written.first_download
            else ""
        )
        typer.echo(
            f"{written.folder}: {written.files} files{size}. Publish them over https (docs/phone.md)"
        )
