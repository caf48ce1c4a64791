"""Medians, and ratios of them. Results are ``{suite: {case: {peer: [{metric: value}, ...]}}}``."""

from statistics import median


def add(results, suite, case, peer, figures):
    results.setdefault(suite, {}).setdefault(case, {}).setdefault(peer, []).append(figures)


def middle(results, suite, case, peer, metric):
    """The median of a figure over all rounds, or None if it was not measured."""
    values = _values(results, suite, case, peer, metric)
    return median(values) if values else None


def spread(results, suite, case, peer, metric):
    """How far apart the rounds are: (most - least) / median, or None if there is but one."""
    values = _values(results, suite, case, peer, metric)
    if len(values) < 2 or not median(values):
        return None
    return (max(values) - min(values)) / median(values)


def _values(results, suite, case, peer, metric):
    rounds = results.get(suite, {}).get(case, {}).get(peer, [])
    return [figures[metric] for figures in rounds if figures.get(metric) is not None]


def ratio(one, other):
    """``one / other``, or None if either is missing or there is nothing to divide by."""
    return one / other if one is not None and other else None


def fewest_rounds(results):
    counts = [
        len(rounds) for cases in results.values() for peers in cases.values()
        for rounds in peers.values()
    ]
    return min(counts, default=0)
