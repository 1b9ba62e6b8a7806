"""What is built, how it may be carried along, and what an import loads."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipapp
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from soapmail import __version__

from .support import IGNORED, LIST, ROOT, SAMPLES, checkout, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from soapmail.sandbox import Sandbox

TEMPLATES = {path.name for path in (ROOT / "templates").glob("*.xml")}
MODULES = {str(path.relative_to(ROOT / "soapmail")) for path in (ROOT / "soapmail").rglob("*.py")}


def run(code: str, folder: Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *options, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def python(code: str, folder: Path, *path: str, options: Sequence[str] = ()) -> str:
    """Run code in another folder, where only what lies there can be imported."""
    done = run(f"import sys; sys.path[:0] = {[*path, '']!r}\n{code}", folder, options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def build(copy: Path, folder: Path, what: str, **environment: str) -> None:
    # setuptools writes arguments of its own into sys.argv
    code = f"import sys; from setuptools import build_meta as b; b.build_{what}(sys.argv.pop())"
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=copy,
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and the sdist from a clean copy, once for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "built"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            copy = base / "copy"
            checkout(copy)
            build(copy, base / "building", "sdist")
            build(copy, base / "building", "wheel")
            (base / "building").rename(folder)
    return folder


@pytest.fixture
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_two_builds_are_equal_to_the_byte(tmp_path: Path) -> None:
    """In folders of other names, with files of other dates, hours apart."""
    found = []
    for name, age in (("one", 0), ("another", 100_000)):
        copy = tmp_path / name
        checkout(copy)
        for path in copy.rglob("*"):
            os.utime(path, (1_700_000_000 + age,) * 2)
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        build(copy, folder, "wheel", SOURCE_DATE_EPOCH="1600000000", TZ=f"X-{len(name)}")
        (wheel,) = folder.glob("*.whl")
        found.append(wheel.read_bytes())
    assert found[0] == found[1]
    with zipfile.ZipFile(wheel) as archive:
        assert {member.date_time[:3] for member in archive.infolist()} == {(2020, 9, 13)}


def test_the_wheel_holds_the_package_the_templates_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"soapmail-{__version__}.dist-info/METADATA").decode()
    expected = {f"soapmail/{name}" for name in (*MODULES, "py.typed")}
    assert names == expected | {f"soapmail/templates/{name}" for name in TEMPLATES}
    assert wheel.stat().st_size <= 198 * 1024
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra" not in line]  # fmt: skip
    assert needed == ["Requires-Dist: requests>=2.32.2", "Requires-Dist: lxml>=4.9.2"]
    assert "Requires-Python: >=3.10" in metadata
    for name in ("Name", "Version", "Summary", "Keywords", "License", "License-File"):
        assert f"\n{name}: " in metadata, name
    assert "Classifier: Development Status :: 5 - Production/Stable\n" in metadata
    assert "Classifier: Topic :: Office/Business :: Financial\n" in metadata
    description = metadata.partition("\n\n")[2]
    assert "which are wrong" in description


@pytest.mark.slow
def test_the_image_holds_what_the_package_is_made_of(wheel: Path, tmp_path: Path) -> None:
    """What the Dockerfile copies makes the wheel that a whole copy makes."""
    checkout(tmp_path / "copy")
    recipes = (ROOT / "soapmail" / "RECIPES.md").read_text()
    (text,) = re.findall(r"^```dockerfile\n(.*?)^```", recipes, re.MULTILINE | re.DOTALL)
    copied = re.findall("^COPY (.+) (.+)$", text, re.MULTILINE)
    for names, target in copied:
        folder = tmp_path / target.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for name in names.split():
            source = tmp_path / "copy" / name
            if source.is_dir():  # what is in it, as Docker does it
                shutil.copytree(source, folder, dirs_exist_ok=True)
            else:
                shutil.copy(source, folder)
    build(tmp_path / "src", tmp_path / "made", "wheel")
    (made,) = (tmp_path / "made").glob("*.whl")
    assert set(zipfile.ZipFile(made).namelist()) == set(zipfile.ZipFile(wheel).namelist())


def test_what_has_to_be_vendored_is_small(tmp_path: Path) -> None:
    """A copy needs neither the command nor the sandbox, nor payments by a plan."""
    core = tmp_path / "core.zip"
    package = ROOT / "soapmail"
    files = [
        path
        for path in package.rglob("*.py")
        if path.relative_to(package).with_suffix("").parts[0] not in OPTIONAL
    ]
    files += (ROOT / "templates").glob("*.xml")
    with zipfile.ZipFile(core, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(ROOT))
    assert len(files) > 30
    assert core.stat().st_size <= 84 * 1024


OPTIONAL = {"billing", "cli", "sandbox", "__main__"}


def test_a_copy_without_what_is_optional_does_the_main_job(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    shutil.copytree(ROOT / "soapmail", tmp_path / "soapmail", ignore=IGNORED)
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    for name in OPTIONAL:
        path = tmp_path / "soapmail" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.with_suffix(".py").unlink()
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from soapmail import Client, __file__ as at\n"
        "assert at.startswith(sys.argv[1])\n"
        "with Client(*sys.argv[3:], endpoint=sys.argv[2]) as client:\n"
        "    print(sum(invoice.invoices_id for invoice in client.get_client_invoices()))"
    )
    account = (sandbox.endpoint, sandbox.username, sandbox.password)
    command = [sys.executable, "-c", program, str(tmp_path), *account]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SUM


def test_what_was_released_is_where_it_was() -> None:
    """The public paths of 1.0.0, from which scripts and tests of others import."""
    from soapmail.errors import SoapMailError, TransportError
    from soapmail.extract import rows
    from soapmail.models import Invoice
    from soapmail.sandbox import PASSWORD, SESSION_ID, USERNAME, Sandbox

    assert issubclass(TransportError, SoapMailError)
    assert (Sandbox.username, Sandbox.password) == (USERNAME, PASSWORD)
    assert rows(read_recording("get_client_invoices_empty").body, Invoice) == []
    assert len(SESSION_ID) == 32
    for never_released in ("payments", "journal", "observed"):
        assert importlib.util.find_spec(f"soapmail.{never_released}") is None


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    (found,) = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"templates/{name}" for name in TEMPLATES} <= names
    assert {"tests/data/contract.json", "tests/conftest.py", "CHANGELOG.md", "LICENSE"} <= names
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "soapmail").rglob("*.md")} <= names
    assert ".ci/run" in names


# The main job, by whatever name the package has; it says which one did it.
JOB = """
from {name} import Client, __file__ as place, __version__ as version
from {name}.sandbox import Sandbox
with Sandbox() as sandbox:
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        invoices = client.get_client_invoices()
print(version, sum(invoice.invoices_id for invoice in invoices), place)
"""
SUM = str(sum(row["invoices_id"] for row in SAMPLES[LIST]))
ODD = "with spaces é 日本"
DEPENDENCIES = str(Path(requests.__file__).parent.parent)


def runs(name: str, folder: Path, *path: str, options: Sequence[str] = ()) -> Path:
    """Do the main job in a folder and give the place of the package that did it."""
    shown = python(JOB.format(name=name), folder, *path, options=options)
    version, total, place = shown.split(" ", 2)
    assert (version, total) == (__version__, SUM)
    assert str(ROOT) not in place
    return folder / place


def unpack(wheel: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def copy_package(folder: Path, templates: str) -> None:
    shutil.copytree(ROOT / "soapmail", folder / "soapmail", ignore=IGNORED)
    shutil.copytree(ROOT / "templates", folder / templates)


# --- installed -------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Make a virtual environment that finds pip, requests and lxml, but no soapmail."""
    installer = importlib.util.find_spec("pip")
    assert installer is not None and installer.origin is not None, "pip is needed"
    folder = tmp_path / ODD / "environment"
    venv.create(folder)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    for path in (*Path(DEPENDENCIES).iterdir(), Path(installer.origin).parent):
        if "soapmail" not in path.name and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return folder


def pip(environment: Path, *arguments: str) -> None:
    """Install with pip, out of what is here and nowhere else."""
    command = [str(environment / "bin" / "python"), "-I", "-m", "pip", "install", "--no-index"]
    options = ["--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, *options, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def from_wheel(built: Path, folder: Path) -> str:
    return str(next(built.glob("*.whl")))


def from_sdist(built: Path, folder: Path) -> str:
    return str(next(built.glob("*.tar.gz")))


def editable(built: Path, folder: Path) -> str:
    checkout(folder / "checkout")
    return f"--editable={folder / 'checkout'}"


@pytest.mark.slow
@pytest.mark.parametrize("way", [from_wheel, from_sdist, editable])
def test_it_can_be_installed(
    built: Path, environment: Path, tmp_path: Path, way: Callable[[Path, Path], str]
) -> None:
    folder = tmp_path / ODD
    pip(environment, way(built, folder))
    job = JOB.format(name="soapmail")
    program = str(environment / "bin" / "python")
    # What is installed is the same whichever way it came, so all options are tried with one.
    others = [["-I"], ["-O"], ["-OO"], ["-W", "error"]] if way is from_wheel else []
    for options in ([], *others):
        done = subprocess.run(
            [program, *options, "-c", job],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        version, total, place = done.stdout.strip().split(" ", 2)
        assert (version, total) == (__version__, SUM)
        assert Path(place).is_relative_to(folder if way is editable else environment)
    for command in ([str(environment / "bin" / "soapmail")], [program, "-m", "soapmail"]):
        assert is_listed([*command, "--sandbox", "invoices"], tmp_path)


def is_listed(command: list[str], folder: Path) -> bool:
    """Tell whether a command lists the documented invoices."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.endswith("USD: 12 invoices, 12 open, 12.00 open\n")


# --- carried along ---------------------------------------------------------------------------------


def as_target(wheel: Path, folder: Path) -> str:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    target = str(folder / "app" / "_vendor")
    subprocess.run([*command, "--target", target, str(wheel)], check=True)
    return "app._vendor.soapmail"


def as_checkout(wheel: Path, folder: Path) -> str:
    copy_package(folder, "templates")
    return "soapmail"


def with_templates_inside(wheel: Path, folder: Path) -> str:
    copy_package(folder / "lib", "soapmail/templates")
    return "lib.soapmail"


def with_templates_beside(wheel: Path, folder: Path) -> str:
    copy_package(folder / "lib", "templates")
    return "lib.soapmail"


def under_another_name(wheel: Path, folder: Path) -> str:
    unpack(wheel, folder)
    (folder / "soapmail").rename(folder / "mailbilling")
    return "mailbilling"


CARRIED = [
    as_target,
    as_checkout,
    with_templates_inside,
    with_templates_beside,
    under_another_name,
]


@pytest.mark.parametrize("carry", CARRIED)
def test_it_can_be_carried_along(
    wheel: Path, tmp_path: Path, carry: Callable[[Path, Path], str]
) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    name = carry(wheel, folder)
    for options in ([], ["-OO"]):
        assert runs(name, folder, options=options).is_relative_to(folder)


def test_it_runs_isolated_from_its_surroundings(wheel: Path, tmp_path: Path) -> None:
    """With -I the path holds neither the folder nor what the environment says."""
    copy_package(tmp_path, "templates")
    assert runs("soapmail", tmp_path, str(tmp_path), DEPENDENCIES, options=["-I"])


def test_it_runs_out_of_read_only_folders(wheel: Path, tmp_path: Path) -> None:
    name = with_templates_inside(wheel, tmp_path)
    paths = [tmp_path, *tmp_path.rglob("*")]
    before = set(paths)
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        runs(name, tmp_path)
        written = set(tmp_path.rglob("*")) | {tmp_path}
    finally:
        for path in paths:
            path.chmod(0o755)
    # The superuser may write all the same; nothing but Python's own cache is written then.
    assert {path.name for path in written - before if "__pycache__" not in path.parts} == set()


def test_two_copies_under_different_names_keep_apart(wheel: Path, tmp_path: Path) -> None:
    under_another_name(wheel, tmp_path)
    with_templates_beside(wheel, tmp_path)
    both = JOB.format(name="mailbilling") + JOB.format(name="lib.soapmail")
    apart = "import mailbilling, lib.soapmail\nassert mailbilling.Client is not lib.soapmail.Client"
    first, second = python(both + apart, tmp_path).splitlines()
    assert "mailbilling" in first
    assert "lib" in second


@pytest.mark.parametrize("beside", [False, True])
def test_it_runs_out_of_a_zip(wheel: Path, tmp_path: Path, beside: bool) -> None:
    archive = tmp_path / f"{ODD}.zip"
    if beside:
        with zipfile.ZipFile(archive, "w") as target:
            for path in (*(ROOT / "soapmail").rglob("*.py"), *(ROOT / "templates").glob("*.xml")):
                target.write(path, str(path.relative_to(ROOT)))
    else:
        shutil.copy(wheel, archive)
    assert runs("soapmail", tmp_path, str(archive)).is_relative_to(archive)


def test_a_zipapp_runs_the_command(tmp_path: Path) -> None:
    copy_package(tmp_path / "source", "templates")
    target = tmp_path / f"{ODD}.pyz"
    zipapp.create_archive(tmp_path / "source", target, main="soapmail.cli:main")
    assert is_listed([sys.executable, str(target), "--sandbox", "invoices"], tmp_path)


# --- what is missing -------------------------------------------------------------------------------

ABSENT = "import sys; sys.modules['{package}'] = None\n"


@pytest.mark.parametrize("package", ["lxml", "requests"])
def test_a_missing_package_is_one_sentence(package: str) -> None:
    code = ABSENT.format(package=package)
    job = "from soapmail import Client\nClient(session_id='x').get_client_invoices()"
    command = "from soapmail.cli import main\nsys.exit(main(['--sandbox', 'invoices']))"
    hint = f"install it with: pip install {package}"
    done = run(code + job, ROOT)
    *frames, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert last.startswith(f"ImportError: soapmail needs {package} (")
    assert last.endswith(hint)
    assert sum(line.startswith("Traceback") for line in frames) == 1
    done = run(code + command, ROOT)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(f"soapmail: soapmail needs {package} (")
    assert line.endswith(hint)


def test_missing_templates_are_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "soapmail", tmp_path / "soapmail", ignore=IGNORED)
    job = "from soapmail import Client\nClient('u', 'p').get_client_invoices()"
    sentence = (
        f"soapmail needs templates/api_login.xml, which is neither in nor beside "
        f"{tmp_path / 'soapmail'}"
    )
    done = run(job, tmp_path)
    *frames, last = done.stderr.splitlines()
    assert last == f"FileNotFoundError: {sentence}"
    assert sum(line.startswith("Traceback") for line in frames) == 1
    command = "import sys\nfrom soapmail.cli import main\nsys.exit(main(['--sandbox', 'invoices']))"
    done = run(command, tmp_path)
    assert (done.returncode, done.stderr) == (1, f"soapmail: {sentence}\n")


def test_a_missing_package_costs_the_import_nothing() -> None:
    assert run(ABSENT.format(package="lxml") + "import soapmail.cli", ROOT).returncode == 0


# --- what stands in it -----------------------------------------------------------------------------


def test_importing_it_loads_neither_requests_nor_lxml(tmp_path: Path) -> None:
    code = (
        "from soapmail import Client, Invoice\n"
        "print(sorted({'requests', 'urllib3', 'lxml', 'logging', 'typing'} & set(sys.modules)))"
    )
    # What the standard library loads by itself differs between versions.
    loaded = "import dataclasses; print(sorted({'logging', 'typing'} & set(sys.modules)))"
    before = python(loaded, tmp_path)
    assert python(code, tmp_path, str(ROOT)) == before


def test_all_imports_are_relative() -> None:
    for path in (ROOT / "soapmail").rglob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            assert words[:2] not in (["import", "soapmail"], ["from", "soapmail"]), (path, line)


def test_the_first_line_of_each_module_says_its_job() -> None:
    for path in (*(ROOT / "soapmail").rglob("*.py"), *(ROOT / "tests").rglob("*.py")):
        assert path.read_text().startswith(('"""', "#!")), path


def test_the_top_level_is_what_it_should_be() -> None:
    names = set(os.listdir(ROOT))
    names -= IGNORED(str(ROOT), list(names)) - {".gitignore", ".ci"}  # what is hidden or built
    allowed = {
        "setup.cfg", "pyproject.toml", "soapmail", "templates", "tests", "README.md", "LICENSE",
        "CHANGELOG.md", "MANIFEST.in", ".gitignore", ".ci", "PKG-INFO",
    }  # fmt: skip
    assert names <= allowed
