"""What is built, how it may be carried along, and what an import loads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
TEMPLATES = {path.name for path in (ROOT / "templates").glob("*.xml")}
MODULES = {path.name for path in (ROOT / "soapmail").glob("*.py")}


def python(code: str, folder: Path, *path: str) -> str:
    """Run code in another folder, where only what lies there can be imported."""
    start = f"import sys; sys.path[:0] = {[*path, '']!r}\n"
    command = [sys.executable, "-W", "error", "-c", start + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and the sdist from a clean copy."""
    folder = tmp_path_factory.mktemp("built")
    copy = folder / "copy"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    code = (
        "import sys; from setuptools import build_meta as backend\n"
        "folder = sys.argv[1]\n"  # setuptools writes arguments of its own there
        "backend.build_sdist(folder); backend.build_wheel(folder)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=copy, check=True, capture_output=True
    )
    return folder


@pytest.fixture
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_the_templates_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read("soapmail-1.0.0.dist-info/METADATA").decode()
    expected = {f"soapmail/{name}" for name in (*MODULES, "py.typed")}
    assert names == expected | {f"soapmail/templates/{name}" for name in TEMPLATES}
    assert wheel.stat().st_size <= 60 * 1024
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra" not in line]  # fmt: skip
    assert needed == ["Requires-Dist: requests>=2.32", "Requires-Dist: lxml>=4.9.2"]
    assert "Requires-Python: >=3.10" in metadata


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    (found,) = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"templates/{name}" for name in TEMPLATES} <= names
    assert {"tests/data/contract.json", "tests/conftest.py", "CHANGELOG.md", "LICENSE"} <= names


FILL = "print(len({name}.envelope.operation('get_modules', {{}})) > 100, {name}.__file__)"


def unpack(wheel: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def as_vendored(wheel: Path, folder: Path) -> str:
    unpack(wheel, folder / "app" / "_vendor")
    return "app._vendor.soapmail"


def with_templates_inside(wheel: Path, folder: Path) -> str:
    shutil.copytree(ROOT / "soapmail", folder / "lib" / "soapmail")
    shutil.copytree(ROOT / "templates", folder / "lib" / "soapmail" / "templates")
    return "lib.soapmail"


def with_templates_beside(wheel: Path, folder: Path) -> str:
    shutil.copytree(ROOT / "soapmail", folder / "lib" / "soapmail")
    shutil.copytree(ROOT / "templates", folder / "lib" / "templates")
    return "lib.soapmail"


def under_another_name(wheel: Path, folder: Path) -> str:
    unpack(wheel, folder)
    (folder / "soapmail").rename(folder / "mailbilling")
    return "mailbilling"


@pytest.mark.parametrize(
    "carry", [as_vendored, with_templates_inside, with_templates_beside, under_another_name]
)
def test_it_can_be_carried_along(
    wheel: Path, tmp_path: Path, carry: Callable[[Path, Path], str]
) -> None:
    name = carry(wheel, tmp_path)
    shown = python(f"import {name}, {name}.envelope\n{FILL.format(name=name)}", tmp_path)
    found, _, place = shown.partition(" ")
    assert found == "True"
    assert str(tmp_path) in str(tmp_path / place)
    assert str(ROOT) not in place


@pytest.mark.parametrize("beside", [False, True])
def test_it_runs_out_of_a_zip(wheel: Path, tmp_path: Path, beside: bool) -> None:
    archive = tmp_path / "all.zip"
    if beside:
        with zipfile.ZipFile(archive, "w") as made:
            for path in (*(ROOT / "soapmail").glob("*.py"), *(ROOT / "templates").glob("*.xml")):
                made.write(path, str(path.relative_to(ROOT)))
    else:
        shutil.copy(wheel, archive)
    code = f"import soapmail, soapmail.envelope\n{FILL.format(name='soapmail')}"
    found, _, place = python(code, tmp_path, str(archive)).partition(" ")
    assert found == "True"
    assert place.startswith(str(archive))


def test_importing_it_loads_neither_requests_nor_lxml(tmp_path: Path) -> None:
    code = (
        "from soapmail import Client, Invoice\n"
        "print(sorted({'requests', 'urllib3', 'lxml', 'logging', 'typing'} & set(sys.modules)))"
    )
    before = python("print(sorted({'logging', 'typing'} & set(sys.modules)))", tmp_path)
    assert python(code, tmp_path, str(ROOT)) == before


def test_all_imports_are_relative() -> None:
    for path in (ROOT / "soapmail").glob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            assert words[:2] not in (["import", "soapmail"], ["from", "soapmail"]), (path, line)


def test_the_first_line_of_each_module_says_its_job() -> None:
    for path in (*(ROOT / "soapmail").glob("*.py"), *(ROOT / "tests").rglob("*.py")):
        assert path.read_text().startswith(('"""', "#!")), path


def test_the_top_level_is_what_it_should_be() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    names = {line.partition("/")[0] for line in listed.splitlines()}
    allowed = {
        "setup.cfg", "pyproject.toml", "soapmail", "templates", "tests", "README.md", "LICENSE",
        "CHANGELOG.md", "MANIFEST.in", ".gitignore", ".ci",
    }  # fmt: skip
    assert names <= allowed
