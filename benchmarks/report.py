"""Tables (Markdown) and a plot (SVG) of what `benchmarks.compare` has measured.

`python -m benchmarks.report [RESULTS]` prints the tables of the newest results in var/bench, or of those that
are named. `--write` puts them into docs/performance.md, between its two marks, and draws
docs/images/performance.svg.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import bar_plot
from benchmarks.bar_plot import Bar, Panel, Row
from benchmarks.compare import figures as put
from benchmarks.compare import results as stored_results
from benchmarks.compare.figures import FEW, MANY, Figure, Figures
from benchmarks.compare.hatchery import POSTGRESQL, SQLITE
from benchmarks.compare.measuring import Cell
from benchmarks.compare.results import Results
from benchmarks.compare.served import CONNECTIONS, OPERATIONS

PAGE, PLOT = Path("docs/performance.md"), Path("docs/images/performance.svg")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
REFERENCE = "Go net/http"  # what others are compared to
_WORDS = {
    "hello": "`GET /hello`",
    "secure": "`GET /secure`",
    "sign-csr": "`POST /sign-csr`",
    "renew": "`POST /renew`",
    "ocsp": "OCSP, signed before",
    "ocsp-nonce": "OCSP with a nonce",
    "crl": "CRL",
}
_ABOUT_BESIDE = (
    "CPU milliseconds of an operation, in brackets how many times as much as the plain Go server's; "
    "below them operations a second, and p99. An empty field: it cannot do that."
)
_COLORS = {"new": "#2f81f7", "resumed": "#8957e5", "kept": "#2da44e"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="?", help="(the newest of var/bench)")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE} and {PLOT}")
    given = parser.parse_args()
    try:
        found = stored_results.read(given.results or stored_results.newest())
    except FileNotFoundError as error:
        sys.exit(str(error))
    text = "\n".join(markdown(found))
    if given.write:
        PAGE.write_text(between_marks(PAGE.read_text(), text))
        PLOT.write_text(plot(put.put_together(found.measured)))
        print(f"Written to {PAGE} and {PLOT}.")
    else:
        print(text)
    sys.exit(found.complaint or 0)


def between_marks(page: str, text: str) -> str:
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{PAGE} has no {BEGIN} … {END}.")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def markdown(found: Results) -> Iterator[str]:
    figures = put.put_together(found.measured)
    numbers = sorted({cell.clients for cell in figures.cells()}) or [1]
    own = [server for server in figures.servers() if server in (SQLITE, POSTGRESQL)]
    yield from _machine(found)
    yield from _section("Aims", _aims(found, figures))
    title = f"CPU milliseconds of an operation, {_clients(numbers[0])}"
    yield from _section(title, _costs(figures, own, numbers[0]), _about_costs(figures))
    if own != figures.servers():
        for number in numbers:
            yield from _section(f"Beside others, {_clients(number)}", _beside(figures, number), _ABOUT_BESIDE)
    for server in own:
        yield from _section(f"{server}: operations a second, p50 and p99 in ms", _times(figures, server))
    title = f"With {FEW:,} and with {MANY:,} certificates stored, CPU milliseconds"
    yield from _section(title, _growth(figures))
    yield from _section("Memory, MB", _memory(found))


def _machine(found: Results) -> Iterator[str]:
    machine, calibrations = found.machine, found.calibrations
    load = _range((each.load for each in calibrations), ".1f")
    signatures = _range((each.signatures for each in calibrations), ",.0f")
    loop = _range((each.loop_ms for each in calibrations), ".0f")
    yield (
        f"Measured on {found.date[:10]}: {machine.processor}, {machine.cores} cores, "
        f"{machine.memory_gb:.0f} GB, Linux {machine.kernel}, Python {machine.python}, {machine.openssl}. "
        f"The machine's load as the rounds began: {load}. Its speed meanwhile: {signatures} ECDSA P-256 "
        f"signatures a second of CPU (`openssl speed`), {loop} ms for a million turns of a loop in Python."
    )
    for name, why in found.left_out.items():
        yield f"\nLeft out: {name} ({why})."


def _aims(found: Results, figures: Figures) -> Iterator[list[str]]:
    rows = [
        [aim.what, f"{aim.below:g} {aim.unit}", f"{aim.is_:.2f}", "yes" if aim.met else "**no**"]
        for aim in put.aims(found, figures)
    ]
    if rows:
        yield ["what", "below", "measured", "met"]
        yield from rows


def _about_costs(figures: Figures) -> str:
    told = ["`a + b`: the server's processes and the database's."]
    if REFERENCE in figures.servers():
        told.append(f"In brackets, how many times as much as {REFERENCE}.")
    return " ".join(told)


def _costs(figures: Figures, servers: list[str], clients: int) -> Iterator[list[str]]:
    yield ["operation", "connection", *servers]
    for cell in _in_order(figures.cells()):
        if cell.clients == clients:
            reference = figures.get(REFERENCE, cell)
            cells = [_cost(figures.get(server, cell), reference) for server in servers]
            yield [_WORDS[cell.operation], cell.connections, *cells]


def _beside(figures: Figures, clients: int) -> Iterator[list[str]]:
    """All servers with what more than one of them can do."""
    cells = [
        cell
        for cell in _in_order(figures.cells())
        if cell.clients == clients and figures.get(REFERENCE, cell)
    ]
    yield ["server", *(f"{cell.operation}, {cell.connections}" for cell in cells)]
    for server in figures.servers():
        yield [server, *(_cost_and_rate(figures, server, cell) for cell in cells)]


def _cost_and_rate(figures: Figures, server: str, cell: Cell) -> str:
    figure = figures.get(server, cell)
    told = _cost(figure, figures.get(REFERENCE, cell))
    return f"{told}<br>{figure.throughput:,.0f}/s, p99 {figure.p99_ms:.1f} ms" if figure else ""


def _cost(figure: Figure | None, reference: Figure | None) -> str:
    if figure is None:
        return ""
    told = f"{figure.cpu_ms:.2f}"
    if figure.database_cpu_ms:
        told += f" + {figure.database_cpu_ms:.2f}"
    if reference and figure is not reference and reference.all_cpu_ms:
        told += f" ({figure.all_cpu_ms / reference.all_cpu_ms:.1f})"
    return told


def _times(figures: Figures, server: str) -> Iterator[list[str]]:
    done = [cell for cell in figures.cells() if figures.get(server, cell)]
    numbers = sorted({cell.clients for cell in done})
    yield ["operation", "connection", *map(_clients, numbers)]
    for operation, connections in dict.fromkeys((c.operation, c.connections) for c in _in_order(done)):
        cells = (figures.get(server, Cell(operation, connections, number)) for number in numbers)
        yield [_WORDS[operation], connections, *map(_time, cells)]


def _time(figure: Figure | None) -> str:
    if figure is None:
        return ""
    failed = f", **{figure.failures} failed**" if figure.failures else ""
    return f"{figure.throughput:,.0f}/s, {figure.p50_ms:.1f}, {figure.p99_ms:.1f}{failed}"


def _growth(figures: Figures) -> Iterator[list[str]]:
    servers = dict.fromkeys(server for server, stored, _ in figures.by_key if stored)
    rows = [
        [
            server,
            _WORDS[cell.operation],
            cell.connections,
            _cost(figures.get(server, cell, FEW), None),
            _cost(figures.get(server, cell, MANY), None),
            f"{ratio:.2f}" if (ratio := figures.growth(server, cell)) else "",
        ]
        for server in servers
        for cell in _in_order(figures.cells(stored=True))
    ]
    if rows:
        yield ["server", "operation", "connection", f"{FEW:,}", f"{MANY:,}", "ratio"]
        yield from rows


def _memory(found: Results) -> Iterator[list[str]]:
    yield ["server", "stored", "moment", "its processes", "its database's"]
    for each in found.memory:
        database = f"{each.database_mb:.0f}" if each.database_mb else ""
        yield [each.server, f"{each.stored:,}", each.moment, f"{each.mb:.0f}", database]


def _section(title: str, rows: Iterable[list[str]], about: str = "") -> Iterator[str]:
    heading, *body = list(rows) or [[]]
    if not body:
        return
    yield f"\n### {title}\n"
    if about:
        yield f"{about}\n"
    for row in (heading, ["---"] * len(heading), *body):
        yield f"| {' | '.join(row)} |"


def _in_order(cells: Iterable[Cell]) -> list[Cell]:
    return sorted(
        cells,
        key=lambda cell: (
            OPERATIONS.index(cell.operation),
            CONNECTIONS.index(cell.connections),
            cell.clients,
        ),
    )


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"


def _range(values: Iterable[float], form: str) -> str:
    known = list(values)
    least, most = format(min(known), form), format(max(known), form)
    return least if least == most else f"{least} to {most}"


def plot(figures: Figures) -> str:
    """CPU of an operation, by server and kind of connection, with the fewest clients that were measured."""
    clients = min((cell.clients for cell in figures.cells()), default=1)
    panels = [panel for operation in OPERATIONS if (panel := _panel(figures, operation, clients)).rows]
    title = f"CPU milliseconds of an operation, {_clients(clients)}"
    legend = [(f"{name} connection", _COLORS[name]) for name in ("new", "kept")]
    return bar_plot.svg(title, [*legend, ("paler: its database", "#8b949e")], panels)


def _panel(figures: Figures, operation: str, clients: int) -> Panel:
    rows = []
    for server in figures.servers():
        found = {
            name: figure
            for name in ("new", "kept")
            if (figure := figures.get(server, Cell(operation, name, clients)))
        }
        if found:
            bars = [Bar(_COLORS[name], each.cpu_ms, each.database_cpu_ms) for name, each in found.items()]
            rows.append(Row(server, tuple(bars)))
    return Panel(_WORDS[operation].replace("`", ""), tuple(rows), _scale(rows))


def _scale(rows: list[Row]) -> float:
    """That of all but what is far off: a bar of a hundred times the others' would hide them."""
    longest = sorted(max(bar.value + bar.beside for bar in row.bars) for row in rows)
    return min(longest[-1], 4 * longest[len(longest) // 2]) if longest else 1.0


if __name__ == "__main__":
    main()
