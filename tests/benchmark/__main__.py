"""Run all candidates in turn, print medians and ratios, and say which targets are met.

    python -m tests.benchmark [--smallest] [--svg FILE]

Each candidate is a process of its own. CPU is user and system time, memory the peak of resident
memory, both as the system counts them for the process when it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..support import checkout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
CANDIDATES = FOLDER / "candidates"
_LABELS, _LONGEST_BAR = 160, 360.0  # where the bars of the picture begin, in its units
HAND, OURS, PHP = "hand-written", "soapmail", "PHP SoapClient"  # HAND: the leanest lines


class Run(NamedTuple):
    """What one process took."""

    cpu: float
    wall: float
    mib: float
    output: str


class Target(NamedTuple):
    """One line of what is to be reached."""

    what: str
    limit: float
    found: float

    @property
    def met(self) -> bool:
        return self.found <= self.limit


def measure(command: Sequence[str]) -> Run:
    """Run one process to its end."""
    started = time.perf_counter()
    # Installed packages have their bytecode cached, and so shall all.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=environment,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    wall = time.perf_counter() - started
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, output.strip())


def python(name: str, *arguments: str) -> list[str]:
    """Give the command that runs one candidate in Python, without its parent's caches of code."""
    return [sys.executable, "-m", f"tests.benchmark.candidates.{name}", *arguments]


def rounds(commands: dict[str, list[str]], count: int) -> dict[str, list[Run]]:
    """Run the commands in turn, each of them ``count`` times, after one time for warming up."""
    for command in commands.values():
        measure(command)
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(count):
        names = list(commands) if number % 2 else list(commands)[::-1]
        for name in names:
            found[name].append(measure(commands[name]))
    return found


def clients(endpoint: str, *, peers: bool) -> tuple[dict[str, list[str]], list[str]]:
    """Give the commands of all clients that are installed, and say which are not."""
    commands = {HAND: python("hand_written", endpoint), OURS: python("with_soapmail", endpoint)}
    if peers:
        commands["field by field"] = python("hand_written_by_name", endpoint)
    absent = []
    for peer in ("zeep", "suds") if peers else ():
        try:
            version(peer)
            commands[peer] = python(f"with_{peer}", endpoint)
        except PackageNotFoundError:
            absent.append(peer)
    php = shutil.which("php")
    if peers and php and "soap" in measure([php, "-m"]).output.split():
        commands[PHP] = [php, str(CANDIDATES / "with_soapclient.php"), endpoint]
    elif peers:
        absent.append(f"{PHP} (Debian: php-cli and php-soap)")
    return commands, absent


def ratio(found: dict[str, list[Run]], name: str, field: str, base: str = HAND) -> list[float]:
    """Give the ratios of the paired rounds."""
    return [
        getattr(one, field) / getattr(other, field)
        for one, other in zip(found[name], found[base], strict=True)
    ]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Write a median and the quartiles around it."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def compare(title: str, found: dict[str, list[Run]]) -> None:
    """Print one comparison of clients."""
    print(f"### {title}\n")
    heads = ["client", "CPU s", "wall s", "peak MiB", "CPU ratio (quartiles)", "memory ratio"]
    rows = []
    for name, runs in found.items():
        cpu, wall, mib = (median([getattr(run, key) for run in runs]) for key in Run._fields[:3])
        rows.append(
            [
                name, f"{cpu:.3f}", f"{wall:.3f}", f"{mib:.0f}",
                spread(ratio(found, name, "cpu")), f"{median(ratio(found, name, 'mib')):.2f}",
            ]
        )  # fmt: skip
    table(heads, rows)
    assert len({run.output for runs in found.values() for run in runs}) == 1, "different answers"


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Start the server in a process of its own; gives its address."""
    command = [sys.executable, "-m", "tests.benchmark.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def count_invoices(base: str) -> list[int]:
    """Ask the server for posts, connections and readings of the WSDL since the last time."""
    with urllib.request.urlopen(f"{base}/count") as response:
        return [int(number) for number in response.read().split()]


def growth(base: str, sizes: Sequence[int], count: int) -> dict[int, dict[str, list[Run]]]:
    """Run soapmail and the hand-written lines on responses of more and more rows."""
    found = {}
    for size in sizes:
        commands, _ = clients(f"{base}/{size}/api.php", peers=False)
        # The row limit of the hand-written lines is the parser's, not theirs.
        found[size] = rounds(commands, count)
    return found


def per_row(found: dict[int, dict[str, list[Run]]], size: int, base: int, field: str) -> float:
    """Give what a row costs above the smallest response, in microseconds or KiB."""
    more = median([getattr(run, field) for run in found[size][OURS]])
    less = median([getattr(run, field) for run in found[base][OURS]])
    return (more - less) / (size - base) * (1e6 if field == "cpu" else 1024)


def wheel_kib() -> float:
    """Build the wheel from a clean copy and give its size."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        checkout(copy)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder]
        subprocess.run([*command, str(copy)], check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.stat().st_size / 1024


def picture(found: dict[str, list[Run]], rows: int) -> str:
    """Draw CPU and memory of all clients as bars, relative to the hand-written lines."""
    bars = []
    for n, name in enumerate(found):
        y = 40 + 34 * n
        bars.append(f'<text x="{_LABELS - 6}" y="{y + 14}" text-anchor="end">{name}</text>')
        for k, (field, colour) in enumerate((("cpu", "#36c"), ("mib", "#c93"))):
            value = median(ratio(found, name, field))
            width, top = min(_LONGEST_BAR, value * 80), y + 13 * k - 4
            cut = " (bar cut)" if width < value * 80 else ""
            bars.append(
                f'<rect x="{_LABELS}" y="{top}" width="{width:.0f}" height="11" fill="{colour}"/>'
                f'<text x="{_LABELS + 6 + width:.0f}" y="{top + 10}">{value:.2f}{cut}</text>'
            )
    height = 50 + 34 * len(found)
    title = f"{rows} invoices, whole process, relative to hand-written lines: CPU blue, peak memory"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABELS + 480}" height="{height}" '
        'font-family="sans-serif" font-size="11">'
        f'<text x="8" y="18">{title} brown</text>{"".join(bars)}</svg>\n'
    )


def accounts(base: str, counts: Sequence[int], rows: int, count: int) -> list[Target]:
    """Compare the command on many accounts with threads by hand, and it with itself on fewer."""
    import tempfile

    found: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for number in counts:
            path = Path(folder) / f"{number}.ini"
            endpoint = f"endpoint = {base}/{rows}/api.php\npassword_command = echo secret\n"
            path.write_text(
                "".join(f"[a{n}]\nusername = u{n}\n{endpoint}\n" for n in range(number))
            )
            command = [sys.executable, "-m", "tests.benchmark.candidates.accounts", str(path)]
            commands[f"soapmail, {number} accounts"] = command
        commands[f"by hand, {counts[-1]} accounts"] = python("accounts_by_hand", str(path))
        found = rounds(commands, count)
    print(f"### {counts[-1]} accounts, log in and list {rows} invoices each, {count} rounds\n")
    heads = ["what", "CPU ms an account", "peak MiB"]
    lines = []
    for (name, runs), number in zip(found.items(), [*counts, counts[-1]], strict=True):
        cpu, mib = (median([getattr(run, key) for run in runs]) for key in ("cpu", "mib"))
        lines.append([name, f"{cpu / number * 1000:.2f}", f"{mib:.0f}"])
    table(heads, lines)
    few, many, hand = found
    return [
        Target("many accounts, CPU, of threads by hand", 1.10, median(ratio(found, many, "cpu", hand))),
        Target(f"the same, peak memory, of that for {counts[0]}", 1.10, median(ratio(found, many, "mib", few))),
    ]  # fmt: skip


def machine() -> str:
    """Say what was measured where."""
    names = ["soapmail", "requests", "lxml", "zeep", "suds"]
    versions = []
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    php = shutil.which("php")
    if php:
        versions.append(" ".join(measure([php, "-v"]).output.split()[:2]))
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return f"{date.today()}, {cores}, Python {platform.python_version()}, {', '.join(versions)}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smallest", action="store_true", help="once, with few rows")
    parser.add_argument("--svg", type=Path, help="write a picture of the large comparison")
    args = parser.parse_args()
    small, large, sizes = 12, 20_000, [200, 2_000, 20_000, 200_000]
    many, few, least = 40, 7, 5
    if args.smallest:
        large, sizes, many, few, least = 200, [12, 100, 200], 1, 1, 1
    print(f"{machine()}\n")
    targets = []
    with serve() as base:
        names = {"bare": "nothing", "packages": "import_packages", "soapmail": "import_soapmail"}
        found = rounds({key: python(name) for key, name in names.items()}, many)
        cpu = {key: median([run.cpu for run in runs]) for key, runs in found.items()}
        print("### imports\n")
        heads = ["what", "CPU s", "above bare Python"]
        table(
            heads,
            [[key, f"{value:.3f}", f"{value - cpu['bare']:.3f}"] for key, value in cpu.items()],
        )
        share = (cpu["soapmail"] - cpu["bare"]) / (cpu["packages"] - cpu["bare"])
        targets.append(Target("import, CPU over bare Python, of requests and lxml", 0.21, share))

        commands, absent = clients(f"{base}/{small}/api.php", peers=True)
        count_invoices(base)
        measure(commands[OURS])
        posts, connections, wsdls = count_invoices(base)
        found = rounds(commands, many)
        compare(f"log in and list {small} invoices, {many} rounds", found)
        value = median(ratio(found, OURS, "cpu"))
        targets.append(Target(f"{small} invoices, CPU, of hand-written", 1.05, value))
        targets.append(Target("the same, requests", 2, posts))
        targets.append(Target("the same, connections", 1, connections))
        targets.append(Target("the same, WSDLs read", 0, wsdls))

        commands, _ = clients(f"{base}/{large}/api.php", peers=True)
        found = rounds(commands, few)
        compare(f"log in and list {large} invoices, {few} rounds", found)
        targets.append(
            Target(
                f"{large} invoices, CPU, of hand-written", 0.66, median(ratio(found, OURS, "cpu"))
            )
        )
        if PHP in found:
            value = median(ratio(found, OURS, "cpu", PHP))
            targets.append(Target("the same, of PHP's SoapClient", 0.82, value))
        value = median(ratio(found, OURS, "mib"))
        targets.append(Target("the same, peak memory, of hand-written", 0.31, value))
        if args.svg:
            args.svg.write_text(picture(found, large))

        times = [
            float(text) for text in measure(python("parse", str(large), str(few))).output.split()
        ]
        targets.append(Target("extract.rows, of etree.fromstring", 2.5, times[1] / times[0]))

        grown = growth(base, sizes, least)
        print(f"### growth, {least} rounds\n")
        heads = ["rows", "CPU s", "peak MiB", "hand-written CPU s", "hand-written MiB"]
        table(
            heads,
            [
                [str(size), *(
                    f"{median([getattr(run, key) for run in runs[name]]):.{places}f}"
                    for name in (OURS, HAND) for key, places in (("cpu", 2), ("mib", 0))
                )]
                for size, runs in grown.items()
            ],
        )  # fmt: skip
        *_, before, last = sizes
        for field, name in (("cpu", "CPU"), ("mib", "memory")):
            shares = [
                median([getattr(run, field) for run in grown[size][OURS]]) / size
                for size in (before, last)
            ]
            what = f"{name} per row at {last} rows, of that at {before}"
            targets.append(Target(what, 1.15, shares[1] / shares[0]))
            slope = per_row(grown, last, sizes[0], field) / (
                per_row(grown, before, sizes[0], field) or math.nan  # few rows may cost nothing
            )
            targets.append(Target("the same, without the start of the process", 1.15, slope))
        targets += accounts(base, [20, 40] if args.smallest else [100, 1000], small, least)
    if not args.smallest:
        targets.append(Target("wheel, KiB", 96, wheel_kib()))
    print("### targets\n")
    table(
        ["what", "at most", "found", "met"],
        [
            [one.what, f"{one.limit:g}", f"{one.found:.2f}", "yes" if one.met else "NO"]
            for one in targets
        ],
    )
    for name in absent:
        print(f"absent, so not measured: {name}")


if __name__ == "__main__":
    main()
