"""The machines of a cluster as the one that started the run sees them: where actors go, and who is left out.

Nothing here knows Ray, but for the rows in which it tells of its nodes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scotopic.errors import ScotopicError

CORES_EACH = 1
"""CPU cores each actor reserves: as many actors as cores keep all of them busy, also while files are read and
written."""

MEMORY_EACH = 1 << 30
"""Bytes that an actor asks the cluster for: 670 MB were seen with one picture of 12 megapixels in hand; a second adds
its mosaic and its result."""

STARTS = 3
"""Actors of one machine that may end before they are ready, one after the other, until no more are made there."""

DENIALS = 3
"""Times, one after the other, that a machine had no way to a file, though others had, until it gets no more."""

BACK_OFF_S = 2.0
"""Seconds until an actor is made where one has ended before it was ready, or until a machine that had no way to a file
gets another; twice as long after the next. What fails meanwhile has failed with it: a moment's trouble is one, however
much was in hand."""

WAIT_S = 30.0
"""Seconds without an actor that has found a place until the user is told what is waited for, and until one that waits
for its place is tried on another machine."""

GROWTH_S = 300.0
"""How long a cluster that has no machine large enough is given to get one."""


@dataclass
class Node:
    """One machine."""

    id: str
    host: str
    cores: float = 0.0
    memory: float = 0.0
    alive: bool = True
    left_out: str = ""
    """Why it gets no actors any more."""
    starts: int = 0
    """Actors of this machine that ended before they were ready, one after the other."""
    not_before: float = 0.0
    """When the next actor may be made."""
    denials: int = 0
    """Times, one after the other, that this machine could not get at a file."""
    rests_until: float = 0.0
    """When this machine may be given another file."""
    has_worked: bool = False
    """Whether an actor of this run was ready there."""
    waited: int = 0
    """How often an actor found no place there in time."""

    @property
    def room(self) -> int:
        """Actors that fit."""
        return max(0, min(int(self.cores // CORES_EACH), int(self.memory // MEMORY_EACH)))

    @property
    def is_used(self) -> bool:
        """Whether it is there and takes part."""
        return self.alive and not self.left_out


class Nodes:
    """All of them. `tell` is told of each that is left out, in one line; `grows`: others may join."""

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        grows: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._grows, self._clock = tell, grows, clock
        self._nodes: dict[str, Node] = {}
        self._anywhere = Node("", "the cluster")
        """Wherever there will be room: what clusters that grow by demand take for demand."""
        self._met = clock()
        """When an actor had a place last."""
        self._told = False
        self._last: Node | None = None
        """Which was left out last."""

    def look(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take up how Ray tells of the nodes. One that went and comes back has another id."""
        for node in self._nodes.values():
            node.alive = False
        for row in rows:
            node = self._nodes.setdefault(row["NodeID"], Node(row["NodeID"], row["NodeManagerHostname"]))
            found = row["Resources"]
            node.alive = row["Alive"]
            node.cores, node.memory = found.get("CPU", 0.0), found.get("memory", 0.0)

    def named(self, number: str) -> Node:
        """The node of that id."""
        return self._nodes.get(number, self._anywhere)

    @property
    def used(self) -> list[Node]:
        """The machines that take part and have room."""
        return [node for node in self._nodes.values() if node.is_used and node.room]

    def wanted(self, count: int | None) -> int:
        """Actors to be made, of those asked for or of as many as there is room for; one at least."""
        return count or max(1, sum(node.room for node in self.used))

    def place(self, taken: Counter[str]) -> Node | None:
        """Where the next actor goes; None: nowhere now. `taken`: actors by their node's id."""
        now = self._clock()
        free = [node for node in self.used if node.room > taken[node.id] and node.not_before <= now]
        if free:
            return min(free, key=lambda node: (node.waited, taken[node.id]))
        # One without a place of its own could come to where none are to be.
        all_used = all(node.is_used for node in self._nodes.values() if node.alive)
        waits = any(node.room > taken[node.id] for node in self.used)
        if all_used and not waits and self._anywhere.is_used and self._anywhere.not_before <= now:
            return self._anywhere
        return None

    def ready(self, node: Node) -> None:
        """An actor has found its place there."""
        node.starts = self._anywhere.starts = node.waited = 0
        node.has_worked = True
        self._told = False

    def ended_early(self, node: Node, words: str, *, others_work: bool = False) -> None:
        """An actor ended before it was ready, where others do their work or not."""
        now = self._clock()
        if not node.alive or now < node.not_before:
            return
        node.starts += 1
        node.not_before = now + _back_off(node.starts)
        if node.starts >= STARTS and not others_work:
            self.leave_out(node, f"actors end there before they are ready ({words})")

    def well(self, node: Node) -> None:
        """A file was got at there."""
        node.denials, node.rests_until = 0, 0.0

    def rests(self, node: Node) -> bool:
        """Whether it is given no file for a while."""
        return self._clock() < node.rests_until

    def denied(self, node: Node, words: str) -> None:
        """A file could not be got at there, though it can from here."""
        if self.rests(node):
            return
        node.denials += 1
        node.rests_until = self._clock() + _back_off(node.denials)
        if node.denials >= DENIALS:
            self.leave_out(
                node, f"{node.denials} times in a row a file could not be got at there ({words})"
            )

    def leave_out(self, node: Node, words: str) -> None:
        """No more actors there. The line is told once."""
        if not node.left_out:
            node.left_out = words
            self._last = node
            self._tell(f"{node.host}: {LEFT_OUT}: {words}")

    def check(self, met: int, free: Callable[[], Mapping[str, float]]) -> None:
        """Tell what is waited for where no actor has a place for long (`met` have one).

        `free` gives what the cluster has free. Raises ScotopicError where no machine is left, or none will do.
        """
        now = self._clock()
        if met:
            self._met, self._told = now, False
            return
        waits = now - self._met
        # Machines that did work, and went, may be followed by others.
        others = self._grows and any(
            node.has_worked and not node.alive and not node.left_out for node in self._nodes.values()
        )
        last = self._last
        if last is not None and not self.used and waits > (GROWTH_S if others else -1):
            raise ScotopicError(
                f"no machine of the cluster can work; {last.host}: {last.left_out}; see to it, then go on with "
                "--resume"
            )
        if not self.used and waits > (GROWTH_S if self._grows else 0):
            raise ScotopicError(
                f"no machine of the cluster has room for an actor, which takes {_ROOM}: {self._largest()}; give "
                "machines more (ray start --num-cpus, --memory)"
            )
        if waits > WAIT_S and not self._told:
            self._told = True
            resources = free()
            there = amount(resources.get("CPU", 0.0), resources.get("memory", 0.0))
            why = "" if self.used else f"; {self._largest()}"
            self._tell(f"waiting for room in the cluster: an actor takes {_ROOM}, free are {there}{why}")

    def _largest(self) -> str:
        there = [node for node in self._nodes.values() if node.alive]
        if not there:
            return "there is none"
        node = max(there, key=lambda node: (node.cores >= CORES_EACH, node.memory))
        return f"the largest has {amount(node.cores, node.memory)}"


LEFT_OUT = "left out of this run"


def _back_off(times: int) -> float:
    return BACK_OFF_S * 2.0 ** min(times - 1, 5)


def amount(cores: float, memory: float) -> str:
    """What there is of both.

    >>> amount(1.0, 3 << 29)
    '1 core and 1.5 GiB of memory'
    """
    return f"{cores:g} core{'' if cores == 1 else 's'} and {memory / (1 << 30):.3g} GiB of memory"


_ROOM = amount(CORES_EACH, MEMORY_EACH)
