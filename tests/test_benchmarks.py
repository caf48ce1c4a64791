"""``python -m benchmarks`` tells what it has measured, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from itertools import chain
from pathlib import Path

import pytest
from zope.interface.interface import Method

import greensock
from benchmarks import cli, report, rounds, stats
from benchmarks.building import built
from benchmarks.measuring import figures
from benchmarks.peers import PEERS, find
from benchmarks.processes import Failed, children, cores, cpu_seconds, resident, running
from benchmarks.servers.of_socketserver import LIMITS
from benchmarks.suites import METRICS, SUITES
from benchmarks.targets import TARGETS, Target
from greensock.interfaces import IAdmission, IDeadlines, IDraining
from tests.helpers import LOCAL, needs_redis, served, wait_until
from tests.prepared import start
from tests.programs import ROOT, environment

pytestmark = pytest.mark.worldless

HUNDRED = "64 B × 100"


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """A compiler that has done its work already, in a hurry."""
    compiler = tmp_path_factory.mktemp("compiler") / "cc"
    compiler.write_text('#!/bin/sh\nexec cc "$@" -O0\n')
    compiler.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", str(compiler))
        with built() as tools:
            if tools.load_in_c:
                folder = Path(tools.load[0]).parent
                compiler.write_text(f'#!/bin/sh\nexec cp "{folder}/${{3##*/}}" "$3"\n')
            else:
                patch.delenv("CC")
            yield


def command(*args, **variables):
    """What became of the command: its status, output and errors."""
    env = {**environment(), **variables}
    process = start("-m", "benchmarks", *map(str, args), cwd=ROOT, env=env)
    out, errors = process.communicate(timeout=100)
    return process.returncode, out, errors


def results(**rates):
    """Of the suite echo: for each peer, the rate of every round."""
    found = {}
    for peer, values in rates.items():
        for value in values:
            stats.add(found, "echo", HUNDRED, peer, {"rate": value, "cpu": None, "load": 20})
    return found


def a_run(found, **changes):
    return {
        "command": "python -m benchmarks echo",
        "suites": ["echo"],
        "options": {"rounds": 5, "seconds": 2, "warm": 0.5, "seed": 1},
        "machine": {"Processor": "Z80"},
        "one_core": False,
        "load_in_c": True,
        "results": found,
        "absent": {},
        "left_out": [],
        "failures": [],
        **changes,
    }


def test_all_suites_are_measured_unless_some_are_named(tmp_path):
    """Five rounds of two seconds, of everybody."""
    options = cli.parse(["--output", str(tmp_path)])
    assert (list(SUITES), 5, 2.0, None) == (
        options.suites, options.rounds, options.seconds, options.only
    )


def test_named_suites_are_measured_once_each(tmp_path):
    options = cli.parse(["udp", "echo", "udp", "--output", str(tmp_path)])
    assert ["udp", "echo"] == options.suites


def test_quick_run_may_still_be_told_how_long(tmp_path):
    """What is given by hand goes before what --quick would choose."""
    options = cli.parse(["--quick", "--rounds", "3", "--output", str(tmp_path)])
    assert (3, 0.1) == (options.rounds, options.seconds)


@pytest.mark.parametrize(
    "args, said",
    [
        (["ecco"], "'ecco' is no suite"),
        (["--only", "nginx"], "'nginx' is no peer"),
        (["--rounds", "0"], "'0' is no positive number"),
        (["--rounds", "1.5"], "'1.5' is no positive number"),
        (["--seconds", "nan"], "'nan' is no positive number"),
        (["--seconds", "soon"], "'soon' is no positive number"),
        (["--output", "/dev/null/results"], "cannot write to '/dev/null/results'"),
        (["--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_wrong_argument_costs_one_line(args, said, capsys):
    """And exit status 2."""
    with pytest.raises(SystemExit) as caught:
        cli.parse(args)
    (line,) = capsys.readouterr().err.splitlines()
    assert 2 == caught.value.code
    assert line.startswith("benchmarks: ") and said in line


def test_suites_name_peers_that_serve_them():
    """In every suite, every peer has a part in some case."""
    idle = [
        (name, peer)
        for name, suite in SUITES.items()
        for peer in suite.peers
        if not any(case.service in PEERS[peer].services for case in suite.cases)
    ]
    # Streams have no datagrams.
    assert [("udp", "asyncio-streams"), ("udp", "uvloop-streams")] == idle


def test_targets_are_of_what_is_measured():
    """Suite, case, metric and peers of each exist."""
    for target in TARGETS:
        suite = SUITES[target.suite]
        cases = {case.label for case in suite.cases}
        assert {target.case, target.other_case or target.case} <= cases
        assert {target.peer, target.other or target.peer} <= set(suite.peers)
        assert target.metric in suite.metrics
        assert (target.at_least is None) != (target.at_most is None)


def test_every_limit_there_is_counts_for_what_limits_cost():
    contracts = IAdmission, IDeadlines, IDraining
    names = {
        name
        for contract in contracts
        for name, found in contract.namesAndDescriptions()
        if not isinstance(found, Method)
    }
    assert names == set(LIMITS)
    models = {"greensock", "greensock-threading", "greensock-forking"}
    targets = [target for target in TARGETS if target.suite == "limits"]
    assert models == {target.peer for target in targets}
    assert {0.93} == {target.at_least for target in targets}


def test_metrics_of_suites_exist():
    assert set() == {m for suite in SUITES.values() for m in suite.metrics} - set(METRICS)


def test_what_does_not_fit_is_left_out_and_named():
    """Neither workers in too great a number nor too few descriptors pass silently."""
    names = "greensock", "stdlib-forking"
    steps, left_out = rounds.plan(["echo"], names, {}, descriptors=600)
    found = {(step.case.label, step.peer) for step in steps}
    assert {(HUNDRED, "greensock"), (HUNDRED, "stdlib-forking")} <= found
    assert not any("1,000" in label for label, _ in found)
    text = "\n".join(left_out)
    assert "echo, 64 B × 1,000, greensock: the limit is 600 open files per process" in text
    assert "echo, 64 B × 1,000, stdlib-forking: a worker each is no choice for more" in text


def test_more_bytes_than_sockets_hold_are_left_out():
    """In a line for all peers together."""
    names = ["greensock", "gevent"]
    assert [
        "echo, 64 KiB × 10,000, greensock, gevent: "
        "the messages alone are more than the kernel gives to sockets"
    ] == rounds.plan(["echo"], names, {}, 20_000)[1]


def test_program_that_is_not_installed_is_absent(monkeypatch):
    monkeypatch.setattr("benchmarks.peers.find", lambda program: None)
    missing = rounds.absent(["haproxy", "socat", "greensock"], "cc")
    assert {
        "haproxy": "haproxy is not installed", "socat": "socat is not installed"
    } == missing


def test_absent_peer_has_a_reason_and_no_steps():
    """The floor takes a compiler."""
    missing = rounds.absent(["greensock", "c-epoll"], None)
    assert {"c-epoll": "no C compiler"} == missing
    steps, _ = rounds.plan(["echo"], list(PEERS), missing, 20_000)
    assert "c-epoll" not in {step.peer for step in steps}


def test_fewer_connections_are_held_than_there_may_be_workers():
    """Memory per connection is the same."""
    steps, left_out = rounds.plan(["idle"], ["stdlib-threading"], {}, 20_000)
    assert ([1000, 1000], []) == ([step.case.connections for step in steps], left_out)


def test_rounds_are_interleaved(monkeypatch):
    """Each visits everybody once, before the next begins; a step that failed is not repeated."""
    visited = []

    def measure(case, peer, *_):
        visited.append(peer.name)
        if peer.name == "gevent":
            raise Failed("no luck")
        return {"rate": len(visited)}

    monkeypatch.setattr(rounds, "measure", measure)
    names = ["greensock", "gevent", "uvloop-streams"]
    steps, _ = rounds.plan(["connect"], names, {}, 20_000)
    told = []
    found, failures = rounds.run(steps, 3, None, 0, 0, told.append, seed=1)
    assert sorted(names) == sorted(visited[:3])
    assert [["greensock", "uvloop-streams"]] * 2 == [sorted(visited[3:5]), sorted(visited[5:])]
    assert 9 == len(told)
    assert ["connect, 32 at a time, gevent: no luck"] == failures
    assert 3 == len(found["connect"]["32 at a time"]["greensock"])


COUNTED = "requests", "busy", "lost", "worst", "p99", "bytes"


def test_figures_are_per_request_and_per_second():
    told = {"requests": 200, "seconds": 2, "busy": 0.5, "lost": 0, "bytes": 8e6}
    told.update(worst=0.004, p99=0.00002)
    found = figures(told, 0.01)
    assert (100, 20_000, 25, 4) == (
        found["rate"], found["per_cpu"], found["load"], found["worst"]
    )
    assert pytest.approx(50) == found["cpu"]
    assert pytest.approx(20) == found["p99"]
    assert pytest.approx(4) == found["throughput"]


def test_load_without_an_answer_is_a_failure():
    told = {**dict.fromkeys(COUNTED, 0), "seconds": 2, "worst": 0}
    with pytest.raises(Failed, match="no request was answered"):
        figures(told, 0.01)


def test_gap_that_never_ends_is_a_figure():
    """Where gaps are measured, silence is the worst of them."""
    told = {**dict.fromkeys(COUNTED, 0), "seconds": 2, "worst": 2}
    assert (2000, None) == (figures(told, 0.01)["worst"], figures(told, 0.01)["cpu"])


def test_middle_is_the_median():
    """One bad round does not move it."""
    found = results(greensock=[10, 11, 12, 1000, 1])
    assert 11 == stats.middle(found, "echo", HUNDRED, "greensock", "rate")


def test_middle_of_nothing_is_none():
    found = results(greensock=[10])
    assert stats.middle(found, "echo", HUNDRED, "gevent", "rate") is None
    assert stats.middle(found, "echo", HUNDRED, "greensock", "cpu") is None
    assert stats.middle({}, "echo", HUNDRED, "greensock", "rate") is None


@pytest.mark.parametrize(
    "one, other, expected", [(3, 2, 1.5), (0, 2, 0), (3, 0, None), (None, 2, None), (3, None, None)]
)
def test_ratio(one, other, expected):
    assert expected == stats.ratio(one, other)


def test_spread_takes_two_rounds():
    found = results(greensock=[90, 100, 120], gevent=[100])
    assert 0.3 == stats.spread(found, "echo", HUNDRED, "greensock", "rate")
    assert stats.spread(found, "echo", HUNDRED, "gevent", "rate") is None


@pytest.mark.parametrize(
    "bounds, met",
    [({"at_least": 2}, True), ({"at_least": 2.1}, False), ({"at_most": 2}, True),
     ({"at_most": 1.9}, False)],
)
def test_target_is_met_up_to_its_bound(bounds, met):
    """It is a ratio of medians."""
    found = results(greensock=[2, 20, 200], gevent=[1, 10, 100])
    target = Target("echo", HUNDRED, "rate", other="gevent", **bounds)
    assert (2, met) == (target.measured(found), target.is_met(found))


def test_target_whose_peer_was_not_measured_is_neither_met_nor_missed():
    target = Target("echo", HUNDRED, "rate", 2, other="gevent")
    assert target.is_met(results(greensock=[1])) is None


def test_report_holds_targets_machine_and_ratios():
    """Every row of a table has as many cells as its head."""
    text = report.render(a_run(results(greensock=[3200] * 5, gevent=[1600] * 5)))
    assert "| echo, 64 B × 100, greensock: requests/s ÷ gevent's | ≥ 1.6× | 2.00× | yes |" in text
    assert "≥ 1.15× | not measured | – |" in text
    assert "| Processor | Z80 |" in text
    assert "| gevent StreamServer, DatagramServer | 1,600 | 0 % | 2.00× | – | – | 20 |" in text
    assert "hint" not in text
    for part in text.split("\n\n"):
        if part.startswith("|"):
            assert 1 == len({line.count("|") for line in part.splitlines()})


def test_report_names_missed_targets_and_too_few_rounds():
    text = report.render(a_run(results(greensock=[1000] * 2, gevent=[1000] * 2)))
    assert "≥ 1.6× | 1.00× | **no** |" in text
    assert "Fewer than 5 rounds" in text


def test_report_says_why_targets_are_missed():
    """For the suites where they are, and for no other."""
    assert set(report.known_reasons()) <= {target.suite for target in TARGETS}
    missed = report.render(a_run(results(greensock=[1000], gevent=[1000])))
    assert "## Why targets are missed" in missed
    assert "### echo\n\n" + report.known_reasons()["echo"] in missed
    assert "### udp" not in missed
    met = report.render(a_run(results(greensock=[1600], gevent=[1000])))
    assert "Why targets" not in met


def test_report_names_what_is_missing():
    changes = {
        "absent": {"uvloop-streams": "uvloop is not installed"},
        "left_out": ["echo, 64 B × 10,000, gevent: why"],
        "failures": ["echo, 64 B × 1, gevent: that is why"],
    }
    text = report.render(a_run({}, **changes))
    assert "- uvloop-streams: uvloop is not installed" in text
    assert "- echo, 64 B × 10,000, gevent: why" in text
    assert "- echo, 64 B × 1, gevent: that is why" in text


def test_report_marks_what_the_load_bounds():
    found = {"echo": {HUNDRED: {"gevent": [{"rate": 1, "load": 99}]}}}
    assert "DatagramServer\\* |" in report.render(a_run(found))


def test_report_shows_the_pictures_there_are():
    found = results(greensock=[1])
    assert "![echo](echo.svg)" in report.render(a_run(found), ["echo"])
    assert "![" not in report.render(a_run(found))


def test_process_prints_lines_and_is_sent_some():
    program = "print('ready', flush=True); input(); print('heard', flush=True); input()"
    with running([sys.executable, "-c", program], cores()[0]) as child:
        assert "ready" == child.line(60)
        child.send_line()
        assert "heard" == child.line(60)
        assert cpu_seconds(child.pid) > 0
        assert resident(child.pid) > 0
        pid = child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_process_that_ends_says_why():
    """The last line on standard error is the reason."""
    with running([sys.executable, "-c", "import sys; sys.exit('out of luck')"], 0) as child:
        with pytest.raises(Failed, match="^out of luck$"):
            child.line(60)


def test_silent_process_is_not_waited_for_for_ever():
    with running([sys.executable, "-c", "input()"], cores()[0]) as child:
        with pytest.raises(Failed, match="silent for 0.01 s"):
            child.line(0.01)


with_either_load = pytest.mark.parametrize("compiler", [None, "cc"])


def liar(listener):
    """Answers the right number of wrong bytes, until its listener is shut."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            client.sendall(b"!" * len(client.recv(65536)))
            client.recv(1)


@with_either_load
def test_answer_that_is_no_echo_ends_the_load(compiler, monkeypatch):
    """Both loads compare every byte."""
    if compiler is None:
        monkeypatch.setenv("CC", "")
    with built() as tools, socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=liar, args=[listener])
        thread.start()
        args = ["echo", str(listener.getsockname()[1]), "1", "64", "0", "60", "10"]
        with running([*tools.load, *args], cores()[1]) as load:
            with pytest.raises(Failed, match="^the answer is no echo$"):
                load.line(60)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@with_either_load
def test_bytes_that_a_proxy_makes_up_end_the_load(compiler, monkeypatch):
    """However much of it there is."""
    if compiler is None:
        monkeypatch.setenv("CC", "")
    with built() as tools, socket.create_server(("127.0.0.1", 0)) as listener:
        with running([*tools.load, *"bulk 0 1 64 0 60 10".split()], cores()[1]) as load:
            upstream = int(load.line(60))
            load.send_line(listener.getsockname()[1])
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", upstream)) as onward:
                assert "warm" == load.line(60)
                data = client.recv(100)
                onward.sendall(data[:-1] + bytes([data[-1] ^ 1]))
                with pytest.raises(Failed, match="^what comes out of the proxy did not go in$"):
                    load.line(60)


@pytest.mark.parametrize("compiler, wait", [(None, 0), ("cc", 0), ("cc", 10)])
def test_slow_clients_send_a_byte_each_now_and_then(compiler, wait, monkeypatch):
    """And the one beside them is timed. A load that never sleeps is not busy all the time."""
    if compiler is None:
        monkeypatch.setenv("CC", "")
    seen = set()

    class Echo(greensock.BaseRequestHandler):
        def handle(self):
            while data := self.request.recv(100):
                if data.strip(b"x"):
                    self.request.sendall(data)
                else:
                    seen.add(self.client_address)

    with built() as tools, served(greensock.GreenletTCPServer(LOCAL, Echo), "thread") as server:
        args = ["slow", server.server_address[1], 150, 64, 0.05, 0.2, wait]
        with running([*tools.load, *map(str, args)], cores()[1]) as load:
            wait_until(lambda: len(seen) > 2)
            assert "warm" == load.line(60)
            told = json.loads(load.line(60))
    assert told["requests"] and 0 < told["p99"] <= told["worst"]
    assert 0 < told["busy"] < told["seconds"]


PROXIES = "haproxy", "socat"


def quick_run(folder, suites, peers, **variables):
    """A run's report as it was printed, and as it was written, and its results."""
    only = [arg for peer in peers for arg in ("--only", peer)]
    args = [*suites, *only, "--quick", "--seconds", "0.15", "--output", folder]
    status, out, errors = command(*args, **variables)
    assert 0 == status, out + errors
    told = json.loads((folder / "results.json").read_text())
    return out, (folder / "report.md").read_text(), told


@pytest.fixture(scope="module")
def with_compiler(tmp_path_factory):
    """A quick run with the load in C, if there is a compiler."""
    peers = ["greensock", *filter(find, PROXIES)]
    suites = ["connect", "fair", "udp", "limits", "relay"]
    return quick_run(tmp_path_factory.mktemp("quick"), suites, peers)


def test_quick_run_writes_results_and_report(with_compiler):
    out, report, told = with_compiler
    assert report + "\n" == out
    assert ["connect", "fair", "udp", "limits", "relay"] == list(told["results"])
    assert ["without", "with"] == list(told["results"]["limits"])
    for cases in told["results"].values():
        for figures_of in cases.values():
            assert "greensock" in figures_of
    assert [] == told["failures"]


@pytest.mark.parametrize("program", PROXIES)
def test_proxies_that_are_no_python_are_measured(program, with_compiler):
    if find(program) is None:
        pytest.skip(f"{program} is not installed (Debian: {program})")
    *_, told = with_compiler
    cases = told["results"]["relay"]
    assert ["bulk × 10", "64 B × 100"] == list(cases)
    assert all(program in figures_of for figures_of in cases.values())
    assert "absent" != told["machine"][program]


def test_quick_run_needs_no_compiler(tmp_path):
    """The load is in Python then."""
    suites = ["connect", "fair", "udp", "relay"]
    out, report, told = quick_run(tmp_path, suites, ["asyncio-protocol"], CC="")
    assert report + "\n" == out
    assert suites == list(told["results"])
    for cases in told["results"].values():
        for figures_of in cases.values():
            assert {"asyncio-protocol"} == set(figures_of)
    assert ([], False) == (told["failures"], told["load_in_c"])


def test_run_has_a_network_of_its_own_where_that_is_allowed():
    """Who is without stays where they are, and whatever is there can be reached."""
    program = (
        "import os, socket; from benchmarks import network"
        "; before = os.readlink('/proc/self/ns/net')"
        "; network.separate(); after = os.readlink('/proc/self/ns/net')"
        "; listener = socket.create_server(('127.0.0.1', 0))"
        "; socket.create_connection(listener.getsockname(), 10)"
        "; assert before == after or network.control() == 'reno', network.control()"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, check=True)


def test_wrong_name_is_one_line_and_status_2():
    assert (2, "", 1) == (lambda s, out, err: (s, out, err.count("\n")))(*command("ecco"))


def marked(mark):
    """The processes with ``mark`` in their environment, by what they run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            pass  # it has ended, or is somebody else's
    return found


def descendants(pid):
    """The process, and all that it has started and that start some in turn."""
    return [pid, *chain.from_iterable(map(descendants, children(pid)))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_run_leaves_no_process_behind(tmp_path, number):
    """Neither a server, nor its children, nor the load."""
    mark = f"GREENSOCK_TESTS_MARK={tmp_path}"
    args = ["echo", "--quick", "--seconds", "60", "--only", "stdlib-forking"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *args, "--output", str(tmp_path)],
        cwd=ROOT,
        # Nobody is left to remove what was compiled, if it was killed.
        env={**environment(), "TMPDIR": str(tmp_path), **dict([mark.split("=")])},
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            # The run itself, the load, the server, and one child at least for a connection.
            wait_until(lambda: 4 <= len(descendants(process.pid)))
        finally:
            process.send_signal(number)
        said = process.stderr.read().decode()
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert (expected, "interrupted" in said) == (process.returncode, number == signal.SIGINT), said
    wait_until(lambda: [] == marked(mark.encode()))


@needs_redis
def test_irc_is_measured():
    """A few clients, and a Redis that is back at once, to see that it works."""
    few = "--clients", 20, "--room", 10, "--rate", 50, "--seconds", 0.2
    network = "--messages", 100, "--listeners", 1, "--outage", 0.1
    status, out, errors = command("irc", *few, *network)
    assert (0, "") == (status, errors)
    assert "| pings | " in out and "| lost | 0 |" in out and "| losses without a split | 0 |" in out
