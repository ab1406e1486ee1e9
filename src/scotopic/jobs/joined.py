"""A Ray cluster joined or made, without what Ray changes in the process that does so."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from scotopic.errors import ScotopicError, SettingsError, how_to_get
from scotopic.signals import ENDINGS

ANSWER_S = 5.0
"""Seconds that a cluster's first machine is given to take a connection; Ray itself tries for minutes, and says nothing
meanwhile."""

SILENCE_S = 45.0
"""Seconds that a cluster's first machine may be silent, as it may come back; after a minute Ray ends this process in
words of its own."""

MADE_HERE = "local"
"""The address by which Ray makes a cluster of this machine alone, whatever others there are."""


def address_of(given: str | None) -> str:
    """The cluster's that is meant: by --address, by RAY_ADDRESS, else one to be made here."""
    return given or os.environ.get("RAY_ADDRESS") or MADE_HERE


def joined(address: str) -> Any:
    """Ray, connected to that cluster. Raises SettingsError where it is not installed or the cluster not reached."""
    # Ray would tell its maker of each run.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise SettingsError(f"this needs ray: {how_to_get('ray')}") from error
    if (why := unanswered(_meant(ray, address))) is not None:
        raise SettingsError(f"no Ray cluster at {address}: {why}; see that it runs (ray status)")
    try:
        with signals_kept():
            ray.init(
                address=address, logging_level=logging.ERROR, log_to_driver=False, ignore_reinit_error=True
            )
    except Exception as error:
        where = "this machine" if address == MADE_HERE else address
        raise SettingsError(f"no Ray cluster at {where} ({error})") from error
    return ray


def _meant(ray: Any, address: str) -> str:
    """The HOST:PORT that Ray takes "auto" for, as far as it tells: that of a cluster which has gone stays noted."""
    with suppress(Exception):
        return str(ray._private.services.canonicalize_bootstrap_address(address) or address)
    return address


def unanswered(address: str, patience: float = ANSWER_S) -> str | None:
    """Why nothing answers at HOST:PORT; None where something does, and for addresses of other kinds."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return None
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience).close()
    except TimeoutError:
        return f"nothing answers at port {port} of {host} within {patience:g} s"
    except (OSError, OverflowError) as error:
        return f"port {port} of {host} is not reached ({error})"
    return None


class Head:
    """The cluster's first machine, without which nothing goes on for long."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._clock = address, clock
        self._answered = clock()

    def answers(self) -> bool:
        """Whether it does. Raises ScotopicError where it has not for long."""
        if unanswered(self._address) is None:
            self._answered = self._clock()
            return True
        if self._clock() - self._answered > SILENCE_S:
            raise ScotopicError(
                f"the cluster's first machine, {self._address}, does not answer any more; what is finished is kept: "
                "start the cluster anew, then go on with --resume"
            )
        return False


def reason(words: str) -> str:
    """The last line of what Ray tells of an actor's end: Python's own says why.

    >>> reason("The actor died because of an error\\n  File ...\\nModuleNotFoundError: No module named 'scotopic'\\n")
    "ModuleNotFoundError: No module named 'scotopic'"
    """
    return words.strip().rsplit("\n", 1)[-1].strip()


@contextmanager
def signals_kept() -> Iterator[None]:
    """Who handles the signals that end a program, put back: Ray takes them for itself."""
    # Python, and Ray, set them in the main thread alone.
    ours = ENDINGS if threading.current_thread() is threading.main_thread() else []
    before = {number: signal.getsignal(number) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: not of Python's making.
            if handler is not None:
                signal.signal(number, handler)
