"""The benchmark runs, in its smallest form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_benchmark_in_its_smallest_form(tmp_path: Path) -> None:
    picture = tmp_path / "x.svg"
    command = [sys.executable, "-m", "tests.benchmark", "--smallest", "--svg", str(picture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| hand-written |" in done.stdout
    assert "| soapmail |" in done.stdout
    assert "| the same, requests | 2 | 2.00 | yes |" in done.stdout
    assert "| the same, connections | 1 | 1.00 | yes |" in done.stdout
    assert "| the same, WSDLs read | 0 | 0.00 | yes |" in done.stdout
    for peer in ("zeep", "suds", "PHP SoapClient"):
        assert f"| {peer} |" in done.stdout or f"absent, so not measured: {peer}" in done.stdout
    assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.stat().st_size < 10_000
