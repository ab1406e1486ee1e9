"""What is downloaded for development, and what is built."""

from __future__ import annotations

import re
import tomllib

from conftest import ROOT

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.M)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> dict[str, str]:
    return {canonical(found[1]): found[2] for found in PINNED.finditer((ROOT / name).read_text())}


def test_everything_locked_has_a_hash_and_the_version_that_is_tested():
    locked, tested = pins("requirements.lock"), pins("constraints.txt")
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text()):
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry
    assert len(locked) > 50
    differing = {
        name: (version, tested[name])
        for name, version in locked.items()
        if tested.get(name, version) != version
    }
    assert differing == {}, "run 'make lock'"


def test_every_dependency_but_pytorch_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [project["dependencies"], *(extras[name] for name in ("train", "evaluate", "web", "dev"))]
    names = {canonical(re.split(r"[<>=~\[;]", word)[0]) for words in wanted for word in words}
    assert names - set(pins("requirements.lock")) == {"torch"}, "run 'make lock'"
    assert "torch" in pins("constraints.txt")
