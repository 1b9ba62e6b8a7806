"""A program in one file, made by the recipe's line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ..support import ROOT, checkout
from ..test_packaging import build, is_listed, unpack
from ..test_readme import block
from .peers import needs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@needs("PyInstaller")
def test_one_file_with_pyinstaller(tmp_path: Path) -> None:
    """From an installed copy, which is gone when the file runs."""
    checkout(tmp_path / "copy")
    build(tmp_path / "copy", tmp_path, "wheel")
    (wheel,) = tmp_path.glob("*.whl")
    unpack(wheel, tmp_path / "installed")
    recipes = (ROOT / "soapmail" / "RECIPES.md").read_text()
    (line,) = re.findall(r"bin/pyinstaller (.*)$", recipes, re.MULTILINE)
    (tmp_path / "app.py").write_text(block("from soapmail.cli import main"))
    command = [sys.executable, "-m", "PyInstaller", "--log-level", "ERROR", *line.split()]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "installed")
    assert is_listed([str(tmp_path / "dist" / "app"), "--sandbox", "invoices"], tmp_path)
