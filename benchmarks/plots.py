"""A picture per suite: the metric that is compared, a row of bars per case."""

from . import stats
from .peers import PEERS
from .suites import METRICS, SUITES

OWN, OTHER = "#2a7f3f", "#9aa5b1"


def draw(results, folder):
    """Write an SVG per suite to ``folder``; return whose, none if matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("svg")
    # The same figures make the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "greensock", "font.size": 8})
    for suite in results:
        _suite(suite, results, folder / f"{suite}.svg")
    return list(results)


def _suite(suite, results, path):
    from matplotlib import pyplot

    metric, cases = SUITES[suite].metrics[0], results[suite]
    heights = [len(peers) + 1.5 for peers in cases.values()]
    figure, axes = pyplot.subplots(
        len(cases), 1, squeeze=False, layout="constrained",
        figsize=(7, 0.22 * sum(heights) + 0.4), gridspec_kw={"height_ratios": heights},
    )
    for axis, (case, peers) in zip(axes[:, 0], cases.items()):
        names = sorted(peers, key=list(PEERS).index, reverse=True)
        values = [stats.middle(results, suite, case, name, metric) or 0 for name in names]
        colours = [OWN if name.startswith("greensock") else OTHER for name in names]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, [METRICS[metric].form.format(value) for value in values], padding=3)
        axis.set_title(case, loc="left")
        axis.set_xticks([])
        axis.margins(x=0.15)
        axis.spines[:].set_visible(False)
        axis.tick_params(left=False)
    better = "more" if METRICS[metric].more_is_better else "less"
    figure.suptitle(f"{SUITES[suite].title}: {METRICS[metric].title}, {better} is better")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
