"""What is asked of a server that has endured the mix, and whether it was so."""

from ..report import table


# All the reasons that the mix gives its servers to refuse or cut a connection.
LIMITS = (
    "max_connections", "max_connections_per_peer",
    "idle_timeout", "request_timeout", "handshake_timeout", "send_timeout",
)


def rows(before, after, parties, late, said, growth, limits=LIMITS):
    """Lines of what, figure, wanted, and whether it is met.

    ``before`` and ``after``: what the server has told after the warm-up and in the end.
    ``growth``: percent that memory and objects may grow. ``limits``: those that some client must
    have met, or it was no soak.
    """
    unmet = [name for name in limits if name not in {**after["refused"], **after["cut"]}]
    well = [party for party in parties if party["means_well"]]
    wrong = sum(party["wrong"] for party in parties)
    answers = sum(party["answers"] for party in well)
    idle = [f"{party['kind']}, {party['server']}" for party in well if not party["answers"]]
    untold = _untold(before, after, well)
    return [
        _grown("memory, MB", before["memory"] / 1e6, after["memory"] / 1e6, growth, ".2f"),
        _grown("objects", before["objects"], after["objects"], growth, ",.0f"),
        ("descriptors", f"{before['descriptors']} → {after['descriptors']}", "no more",
         after["descriptors"] <= before["descriptors"]),
        ("connections left", after["connections"], 0, after["connections"] == 0),
        ("errors logged", after["errors"], 0, after["errors"] == 0),
        ("lines on standard error", len(said), 0, not said),
        ("right answers", f"{answers:,}", "some for every kind that means well", not idle),
        ("wrong answers, and visits without end", wrong + late, 0, wrong + late == 0),
        ("limits that nobody met", ", ".join(unmet) or "none", "none", not unmet),
        ("turned away without a word of it", untold, 0, untold == 0),
    ]


def _untold(before, after, well):
    """Clients that mean well, and were turned away although the server knows nothing of it."""
    missing = 0
    for party in well:
        told = sum(
            after["by_host"].get(host, 0) - before["by_host"].get(host, 0)
            for host in party["hosts"]
        )
        missing += max(0, party["turned_away"] - told)
    return missing


def _grown(what, before, after, growth, form):
    percent = (after / before - 1) * 100
    figure = f"{before:{form}} → {after:{form}} ({percent:+.2f} %)"
    return what, figure, f"{growth:g} % more at most", percent <= growth


def is_met(judged):
    return all(met for *_, met in judged)


def render(judged, after, parties, said):
    """The tables, as Markdown, and what there is to say of failures."""
    parts = [
        table(
            ["kind", "server", "visits", "right answers", "turned away", "wrong"],
            [[party["kind"], party["server"], f"{party['visits']:,}", f"{party['answers']:,}",
              f"{party['turned_away']:,}", party["wrong"]] for party in parties],
        ),
        "\n".join([
            f"- refused: {_listed(after['refused'])}",
            f"- cut: {_listed(after['cut'])}",
            f"- handshakes that failed: {after['handshakes']:,}",
        ]),
        table(
            ["what", "figure", "wanted", "met"],
            [[*row, "yes" if met else "**no**"] for *row, met in judged],
        ),
        "\n".join([
            *after["first_errors"],
            *said[:20],
            *(f"{party['kind']}, {party['server']}: {error}"
              for party in parties for error in party["first_wrong"]),
        ]),
    ]
    return "\n\n".join(part for part in parts if part)


def _listed(counts):
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
