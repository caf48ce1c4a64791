"""The report, in Markdown."""

from pathlib import Path

from . import stats
from .peers import PEERS
from .suites import METRICS, SUITES
from .targets import TARGETS

ENOUGH = 5  # rounds
BOUND = 90  # percent of the time: a load that is busy as much may be what is measured
PROFILED = (
    "These profiles are of virtual machines with two cores. They were taken by hand, and not in "
    "this run."
)


def render(run, plots=()):
    """``run``: what ``cli`` writes as JSON. ``plots``: the suites there is a picture of."""
    parts = [
        "# Benchmarks of greensock",
        targets(run),
        profiles(run),
        "## Machine\n\n" + table(["", ""], run["machine"].items()),
        method(run),
        *(suite(name, run["results"], name in plots) for name in run["results"]),
        listing("Absent peers", [f"{name}: {why}" for name, why in run["absent"].items()]),
        listing("Left out", run["left_out"]),
        listing("Failed", run["failures"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def listing(title, lines):
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def targets(run):
    rows = []
    for target in TARGETS:
        if target.suite not in run["suites"]:
            continue
        value, met = target.measured(run["results"]), target.is_met(run["results"])
        unit = "×" if target.other else ""
        sign, bound = ("≥", target.at_least) if target.at_most is None else ("≤", target.at_most)
        rows.append([
            _wording(target),
            f"{sign} {bound:g}{unit}",
            "not measured" if value is None else f"{value:.2f}{unit}",
            {True: "yes", False: "**no**", None: "–"}[met],
        ])
    if not rows:
        return ""
    told = table(["what", "target", "measured", "met"], rows)
    if stats.fewest_rounds(run["results"]) < ENOUGH:
        told += f"\n\nFewer than {ENOUGH} rounds were run: this is a hint, no finding."
    return "## Targets\n\n" + told


def profiles(run):
    """Of every suite in which a target is missed: why, as far as it is known."""
    missed = {target.suite for target in TARGETS if target.is_met(run["results"]) is False}
    told = [f"### {name}\n\n{why}" for name, why in known_reasons().items() if name in missed]
    return "\n\n".join(["## Why targets are missed", PROFILED, *told]) if told else ""


def known_reasons():
    """Texts by suite, from ``profiles.md``."""
    parts = (Path(__file__).parent / "profiles.md").read_text().split("## ")[1:]
    return {name: why.strip() for name, _, why in (part.partition("\n") for part in parts)}


def _wording(target):
    words = f"{target.suite}, {target.case}, {target.peer}: {METRICS[target.metric].title}"
    if target.other is None:
        return words
    if target.other == target.peer:
        return f"{words} ÷ its own, {target.other_case}"
    return f"{words} ÷ {target.other}'s"


def method(run):
    options = run["options"]
    load = "a C program" if run["load_in_c"] else "in Python for want of a C compiler"
    lines = [
        f"`{run['command']}`",
        f"Rounds: {options['rounds']}. In each, every server is visited once, in another order "
        f"(seed {options['seed']}). A visit is a new process, {options['warm']:g} s of warm-up and "
        f"{options['seconds']:g} s of measurement. The figures are medians of the rounds, the "
        "ratios are of medians.",
        f"The load, {load}, has a core of its own and compares every byte of every answer. It asks "
        "for answers again and again and never sleeps: to wake a core takes some µs, in the send() "
        "of the server, and only one slow enough to let it fall asleep would pay for them. It is "
        "busy while there are answers, and idle while it asks in vain. "
        "For TLS it is always in Python, and the bound: compare the CPU per request there.",
        "If the system allows it, all of this happens in a network of its own, where reno controls "
        "congestion. bbr would pace what is sent with timers, and bulk would measure those.",
        "Server CPU is that of its process and of those it forks. Every server listens with the "
        "same backlog, and forks as many children as there are connections. `±` is half of what "
        "lies between the best and the worst round. Where many connections kept neither core busy, "
        "something else ran: the rate says little then, and the CPU per request more.",
    ]
    if run["one_core"]:
        lines.append("**This machine has one core for both, where the load has to sleep: the rates "
                     "say little.**")
    return "## Method\n\n" + "\n\n".join(lines)


def suite(name, results, has_plot):
    """A table per case: every peer's figures, and the ratio to it."""
    described = SUITES[name]
    parts = [f"## {name}: {described.title}"]
    if has_plot:
        parts.append(f"![{name}]({name}.svg)")
    head = ["", *(METRICS[metric].title for metric in described.metrics)]
    head[2:2] = ["±", "greensock ÷ it"]
    bound = False
    for case, peers in results[name].items():
        rows = []
        for peer in sorted(peers, key=list(PEERS).index):
            values = [stats.middle(results, name, case, peer, m) for m in described.metrics]
            mark = _is_bound(results, name, case, peer)
            bound |= bool(mark)
            cells = [written(m, v) for m, v in zip(described.metrics, values)]
            apart = stats.spread(results, name, case, peer, described.metrics[0])
            cells[1:1] = ["–" if apart is None else f"{apart * 50:.0f} %",
                          compared(described, results, name, case, peer)]
            rows.append([PEERS[peer].title + mark, *cells])
        parts.append(f"**{case}**\n\n{table(head, rows)}")
    if bound:
        parts.append(f"\\* The load was busy {BOUND} % of the time or more: it may be the bound.")
    return "\n\n".join(parts)


def _is_bound(results, name, case, peer):
    used = stats.middle(results, name, case, peer, "load")
    return "\\*" if "load" in SUITES[name].metrics and used and used >= BOUND else ""


def compared(described, results, name, case, peer):
    """greensock's figure, by the peer's; empty for greensock itself."""
    own = described.counterparts.get(peer, "greensock")
    if own == peer or peer in described.counterparts.values():
        return ""
    metric = described.metrics[0]
    value = stats.ratio(
        stats.middle(results, name, case, own, metric),
        stats.middle(results, name, case, peer, metric),
    )
    return "–" if value is None else f"{value:.2f}×"


def written(metric, value):
    return "–" if value is None else METRICS[metric].form.format(value)
