"""What holds for the package as a whole."""

from __future__ import annotations

import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, SAMPLE

SOURCES = sorted((ROOT / "src" / "scotopic").rglob("*.py"))
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; "


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_importing_scotopic_imports_no_torch():
    done = python("import scotopic, sys; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0


def test_what_runs_no_network_needs_no_runtime_for_one():
    # The package's own __init__ opens all of it, models too.
    code = (
        "import importlib, sys, types; package = types.ModuleType('scotopic'); package.__path__ = [sys.argv[1]]; "
        "sys.modules['scotopic'] = package; [importlib.import_module(f'scotopic.{m}') for m in sys.argv[2:]]; "
        'sys.exit(f\'{sorted({"onnxruntime", "scotopic.models", "scotopic.sandbox"} & sys.modules.keys())}\')'
    )
    leaves = (
        "noise",
        "sensor.lines",
        "sensor.mend",
        "develop",
        "write",
        "dng.write",
        "read",
        "balance",
        "sensor.simulated",
    )
    done = python(code, str(ROOT / "src" / "scotopic"), *leaves)
    assert done.stderr.strip() == "[]"


def test_enhancing_needs_no_torch(tmp_path):
    code = WITHOUT_TORCH + "from scotopic.cli import main; main()"
    done = python(code, "enhance", str(SAMPLE), "-o", str(tmp_path / "a.jpg"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.jpg").stat().st_size > 10_000


def test_enhancing_tells_nobody_anything_and_leaves_no_trace(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    where = {name: str(home) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-m", "scotopic", "enhance", str(SAMPLE), "-o", str(tmp_path / "a.jpg")]
    subprocess.run(command, env={**kept, **where}, check=True, capture_output=True, timeout=120)
    # ONNX Runtime's telemetry keeps its machine's number and what it could not send in files there.
    assert list(home.rglob("*")) == []


def test_training_without_torch_says_what_to_install(tmp_path):
    code = WITHOUT_TORCH + "from scotopic.cli import main; main()"
    done = python(code, "train", "scotopic", "--data", str(tmp_path), "--out", str(tmp_path / "run"))
    assert done.returncode == 2
    assert ".[train]" in done.stderr


def test_only_read_speaks_to_libraw_and_only_train_to_torch():
    for path in SOURCES:
        text = path.read_text()
        if re.search(r"^\s*(import|from) rawpy", text, re.M):
            assert path.name == "read.py"
        if re.search(r"^(import|from) torch", text, re.M):
            assert path.parent.name == "train"


def test_the_library_never_prints_and_modules_stay_short():
    for path in SOURCES:
        text = path.read_text()
        if path.parent.name != "cli":
            assert not re.search(r"^\s*print\(", text, re.M), path
        assert len(text.splitlines()) <= 420, path


def test_the_map_names_every_module_and_tests_that_there_are():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert max(map(len, text.splitlines())) <= 120
    mapped = set()
    for folder, rows in re.findall(r"^### `(src/[^`]+)`\n(.*?)(?=^##|\Z)", text, re.M | re.S):
        for module, tests in re.findall(r"^\| `([^`]+)` \|[^|]+\|([^|]+)\|$", rows, re.M):
            mapped.add(f"{folder}/{module}")
            for name in re.findall(r"`([^`]+)`", tests):
                assert list((ROOT / "tests").rglob(name)), f"{folder}/{module}: no {name}"
            assert "`" in tests, f"{folder}/{module} has no test"
    page = (ROOT / "src" / "scotopic" / "web" / "static").rglob("*.js")
    # An __init__ that holds more than words is a module as others.
    modules = [
        path for path in SOURCES if path.name != "__init__.py" or len(ast.parse(path.read_text()).body) > 1
    ]
    there = {p.relative_to(ROOT).as_posix() for p in (*modules, *page) if p.parent.name != "vendor"}
    assert there - mapped == set(), "add them to the map in CONTRIBUTING.md"
    assert mapped - there == set(), "take them out of the map in CONTRIBUTING.md"


def test_what_is_said_of_a_constant_stands_alone():
    # An editor shows it without its neighbours.
    leans = r"(The same|And|So is|So many|These|They|Their|Those|By so|Of so)\b"
    for path in SOURCES:
        for scope in ast.walk(ast.parse(path.read_text())):
            body = scope.body if isinstance(scope, ast.Module | ast.ClassDef) else []
            for named, said in itertools.pairwise(body):
                if isinstance(named, ast.Assign | ast.AnnAssign) and isinstance(said, ast.Expr):
                    words = ast.unparse(said).strip("'\" ")
                    assert not re.match(leans, words), f"{path}:{said.lineno}: {words}"


def test_what_the_page_calculates_with_is_public_in_its_modules():
    assert not re.findall(
        r"(?:\.|import |, )(_[A-Za-z]\w*)", (ROOT / "src/scotopic/web/constants.py").read_text()
    )


def test_everything_that_is_carried_from_others_is_attributed():
    folder = ROOT / "src" / "scotopic" / "evaluate" / "held_out"
    listed = (folder / "ATTRIBUTION.csv").read_text()
    photos = [p for p in folder.iterdir() if p.suffix == ".jpg"]
    assert sum(p.stat().st_size for p in photos) < 4_000_000
    for photo in photos:
        line = next(row for row in listed.splitlines() if row.startswith(photo.name))
        assert "CC0" in line


def test_nothing_is_left_to_fill_in():
    words = r"\b(TODO|FIXME|TBD|XXX)\b"
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("README.md")]
    for path in texts:
        assert not re.search(words, path.read_text()), path


def test_the_tree_is_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not in a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(Path(f).stat().st_size for f in files if f.exists()) < 20_000_000


def test_a_program_written_by_the_docs_runs(tmp_path):
    text = (ROOT / "docs" / "library.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 5
    shutil.copy(SAMPLE, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"dark_eagles.dng", "eagles.jpg", "eagles.dng"}
