"""A million devices that renew themselves, with Hatchery away for an hour and for six.

`python -m benchmarks.renewal_storm [--devices N] [--cores N] [--plot FILE]` prints two tables (Markdown):
what outages do to certificates of a day, and what fleets with certificates of other lives ask of a server. It
needs numpy (requirements-simulation.txt), and takes some minutes.

What a request costs was measured: `python -m benchmarks.renewal_costs`.
"""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.storm_model import DAY, HOUR, Costs, Plan, Story, simulate
from benchmarks.storm_plot import Line, Panel, svg

MEASURED = Costs(renewal=0.0104, renewal_info=0.0046, secure=0.0040, bundle=0.0046, refusal=0.0020)
# How many stand for a million where the places of an outage are tried, and for other lives.
_FEW, _SOME = 20_000, 100_000
_DAYS = 4.0
_PLOTTED = 600  # seconds, of a point


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1_000_000, help="of the first table (1,000,000)")
    parser.add_argument("--cores", type=float, default=4.0, help="for each million devices (4)")
    parser.add_argument("--ask-again", type=int, help="seconds between polls, instead of what Hatchery says")
    parser.add_argument("--plot", type=Path, help="where to write an SVG")
    given = parser.parse_args()
    plan = Plan(
        devices=given.devices,
        life=DAY,
        days=_DAYS,
        cores=given.cores * given.devices / 1e6,
        costs=MEASURED,
        enrolled_within=HOUR,
        ask_again=given.ask_again,
    )
    # Two at a time: a million devices take some 200 MB.
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as processes:
        plans = list(_outages(plan, processes))
        stories = list(processes.map(simulate, plans))
        _print_outages(stories)
        print()
        _print_lives(list(processes.map(simulate, _lives(plan))))
    if given.plot:
        given.plot.write_text(_picture(stories))


def _outages(plan: Plan, processes: ProcessPoolExecutor) -> Iterator[Plan]:
    for enrolled_within in (HOUR, None):
        fleet = replace(plan, enrolled_within=enrolled_within)
        yield fleet
        for hours in (1, 6):
            yield replace(
                fleet, outage=hours, outage_from=_worst_place(replace(fleet, outage=hours), processes)
            )


def _worst_place(plan: Plan, processes: ProcessPoolExecutor) -> float:
    """The hour at which this outage leaves the fewest certificates, or those that are left the least time."""
    few = replace(plan, devices=_FEW, cores=plan.cores * _FEW / plan.devices, coarse=6, days=2.25)
    # A fleet that has renewed for long is much the same at each hour.
    places = range(8, 32) if plan.enrolled_within else range(24, 32, 2)
    tried = [replace(few, outage_from=hour) for hour in places]
    stories = processes.map(simulate, tried)
    worst = max(stories, key=lambda story: (story.expired, -story.least_left))
    return worst.plan.outage_from


def _lives(plan: Plan) -> Iterator[Plan]:
    # As many cores as they like: what is asked for is counted, not what a server of some size makes of it.
    few = replace(plan, devices=_SOME, cores=1e6, ask_again=None)
    for life, ticks in (
        (HOUR, (60, 120)),
        (DAY, plan.ticks),
        (7 * DAY, plan.ticks),
        (30 * DAY, plan.ticks),
        (90 * DAY, plan.ticks),
    ):
        yield replace(few, life=life, ticks=ticks, days=3 * life / DAY, enrolled_within=min(life, HOUR))


def _print_outages(stories: list[Story]) -> None:
    titles = (
        "enrolled",
        "outage",
        "renewals/s p50, peak",
        "polls/s p50, peak",
        "cores busy p50",
        "due when it ended",
        "worked off in",
        "refusals/s peak",
        "shortest life left at a renewal",
        "expired",
    )
    _print_row(titles)
    _print_row(["---"] * len(titles))
    for story in stories:
        plan = story.plan
        outage = f"{plan.outage:.0f} h from hour {plan.outage_from:g}" if plan.outage else "none"
        _print_row(
            (
                _enrolled(plan),
                outage,
                _rates(story, story.renewals),
                _rates(story, story.polls),
                f"{np.median(story.after_the_start(story.busy)):.2f}",
                f"{story.backlog:,}" if plan.outage else "-",
                f"{story.worked_off:.1f} h" if plan.outage else "-",
                f"{max(story.refusals):,.0f}",
                f"{story.least_left / HOUR:.1f} h",
                f"{story.expired:,}",
            )
        )


def _print_lives(stories: list[Story]) -> None:
    titles = ("life", "asks again after", "renewals/s p50, peak", "polls/s p50, peak", "cores p50, peak")
    _print_row(titles)
    _print_row(["---"] * len(titles))
    for story in stories:
        plan = story.plan
        scale = 1e6 / plan.devices
        busy = story.after_the_start(story.busy) * scale
        life = f"{plan.life // DAY} d" if plan.life >= DAY else f"{plan.life // HOUR} h"
        _print_row(
            (
                life,
                f"{story.asks_again:,} s",
                _rates(story, story.renewals, scale),
                _rates(story, story.polls, scale),
                f"{np.median(busy):.2f}, {busy.max():.2f}",
            )
        )


def _print_row(cells: tuple[str, ...] | list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _rates(story: Story, what: list[float], scale: float = 1.0) -> str:
    rates = story.after_the_start(what) * scale
    return f"{np.median(rates):,.0f}, {rates.max():,.0f}"


def _enrolled(plan: Plan) -> str:
    return "within an hour" if plan.enrolled_within else "long ago"


def _picture(stories: list[Story]) -> str:
    panels = [_panel(stories[number]) for number in (0, 3, 1, 4, 2, 5)]
    most = max(max(line.values) for panel in panels for line in panel.lines[:2])
    devices = f"{stories[0].plan.devices:,} devices, certificates of 24 h, {stories[0].plan.cores:g} cores"
    return svg(f"{devices}: requests a second", panels, 2, -(-most // 100) * 100)


def _panel(story: Story) -> Panel:
    plan = story.plan
    outage = f"an outage of {plan.outage:.0f} h" if plan.outage else "no outage"
    shaded = (plan.outage_from, plan.outage_from + plan.outage) if plan.outage else None
    lines = (
        Line("renewals", "#1a7f37", _means(plan, story.renewals)),
        Line("polls", "#0969da", _means(plan, story.polls)),
        Line("refused, come back later", "#cf222e", _means(plan, story.refusals)),
    )
    return Panel(f"enrolled {_enrolled(plan)}, {outage}", plan.days * 24, lines, shaded)


def _means(plan: Plan, rates: list[float]) -> list[float]:
    together = max(1, _PLOTTED // plan.bin)
    return [float(np.mean(rates[first : first + together])) for first in range(0, len(rates), together)]


if __name__ == "__main__":
    main()
