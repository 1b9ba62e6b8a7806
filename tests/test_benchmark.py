"""The benchmark runs, in its smallest form."""

from __future__ import annotations

import itertools
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
    assert "| many accounts, CPU, of threads by hand | 1.1 | " in done.stdout
    for peer in ("zeep", "suds", "PHP SoapClient"):
        assert f"| {peer} |" in done.stdout or f"absent, so not measured: {peer}" in done.stdout
    assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.stat().st_size < 10_000
    looked_at(picture)


def looked_at(path: Path) -> None:
    """No text of the picture is cut off, and none lies upon a bar; letters are at most so wide."""
    root = ElementTree.parse(path).getroot()
    size, width = float(root.attrib["font-size"]), float(root.attrib["width"])
    bars = [
        (float(one.attrib["x"]), float(one.attrib["y"]), float(one.attrib["width"]))
        for one in root.iter("{http://www.w3.org/2000/svg}rect")
    ]
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert len(texts) > len(bars) > 3
    scales = set()
    for one, following in itertools.pairwise(root):
        if one.tag.endswith("rect") and "bar cut" not in (following.text or ""):
            scales.add(round((float(one.attrib["width"]) - 80 * float(following.text or "")) / 2))
    assert scales == {0}  # 80 units are 1.00, to within a unit and a hundredth
    for one in texts:
        start, long = float(one.attrib["x"]), 0.6 * size * len(one.text or "")
        if one.get("text-anchor") == "end":
            start -= long
        assert start >= 0, one.text
        assert start + long <= width, one.text
        for left, top, wide in bars:
            beside = start + long <= left or start >= left + wide
            assert beside or not top < float(one.attrib["y"]) <= top + size, one.text


def test_the_picture_of_the_page_is_whole() -> None:
    looked_at(ROOT / "tests" / "benchmark" / "benchmark.svg")
