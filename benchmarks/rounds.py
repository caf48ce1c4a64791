"""All measurements of a run, interleaved: what slows the machine for a while slows everybody."""

import random
from dataclasses import dataclass, replace

from . import stats
from .measuring import measure
from .peers import PEERS, why_absent
from .processes import Failed
from .suites import SUITES

# What a server or a load opens besides its connections.
DESCRIPTORS = 100
QUICK_HOLD = 200
# Each is in the buffers of two sockets, there and back.
BYTES = 1 << 28


@dataclass(frozen=True)
class Step:
    suite: str
    case: object
    peer: str


def absent(names, compiler):
    """The peers that this machine does not have, with the reason."""
    reasons = {name: why_absent(PEERS[name], compiler) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def plan(suites, names, missing, descriptors, quick=False):
    """The steps of one round, and what of it is left out, as lines that say why."""
    steps, left_out = [], {}
    for suite in suites:
        for case in SUITES[suite].cases:
            if quick and not case.quick:
                continue
            for name in SUITES[suite].peers:
                if name not in names or name in missing:
                    continue
                fitted = _fitted(case, PEERS[name], quick)
                reason = _why_not(fitted, PEERS[name], descriptors)
                if reason is None:
                    steps.append(Step(suite, fitted, name))
                elif reason:
                    left_out.setdefault((suite, case.label, reason), []).append(name)
    lines = [
        f"{suite}, {label}, {', '.join(who)}: {reason}"
        for (suite, label, reason), who in left_out.items()
    ]
    return steps, lines


def _fitted(case, peer, quick):
    # Memory per connection is the same for fewer.
    if case.mode == "hold":
        most = min(filter(None, [case.connections, peer.most, QUICK_HOLD if quick else None]))
        return replace(case, connections=most)
    return case


def _why_not(case, peer, descriptors):
    """Why a peer does not do a case; empty if it has no such service to speak of."""
    if case.service not in peer.services:
        return ""
    if peer.most is not None and case.connections > peer.most:
        return f"a worker each is no choice for more than {peer.most:,}"
    if case.connections * case.size > BYTES:
        return "the messages alone are more than the kernel gives to sockets"
    if case.connections + DESCRIPTORS > descriptors:
        return f"the limit is {descriptors:,} open files per process"
    return None


def run(steps, rounds, tools, warm, seconds, progress, seed):
    """Measure every step once a round, in another order each time; return results and failures.

    ``progress`` is called with a line before each. A step that failed is not tried again.
    """
    results, failures = {}, {}
    for suite in dict.fromkeys(step.suite for step in steps):
        for number in range(rounds):
            order = [step for step in steps if step.suite == suite]
            random.Random(f"{seed} {number}").shuffle(order)
            for step in order:
                progress(f"{suite}, {step.case.label}, {step.peer}")
                if step in failures:
                    continue
                try:
                    found = measure(step.case, PEERS[step.peer], tools, warm, seconds)
                except (Failed, OSError) as error:
                    failures[step] = str(error)
                else:
                    stats.add(results, suite, step.case.label, step.peer, found)
    # In the order of the suites, whatever came first.
    results = {
        suite: {
            case.label: cases[case.label]
            for case in SUITES[suite].cases
            if case.label in cases
        }
        for suite, cases in results.items()
    }
    told = [
        f"{step.suite}, {step.case.label}, {step.peer}: {error}"
        for step, error in failures.items()
    ]
    return results, told
