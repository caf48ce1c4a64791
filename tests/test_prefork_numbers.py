"""What all workers count, on one status page that outlives each of them."""

import json
import os
import re
import signal
import socket
from contextlib import ExitStack, contextmanager
from http.server import HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

import greensock
from greensock.interfaces import IWorkerEnded, IWorkerStarted
from greensock.status import team
from greensock.supervision import counting
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    Crash,
    Shout,
    ShoutDatagram,
    Trap,
    ask,
    children,
    connect,
    descriptors,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)
from tests.teams import Server, at_work, new_server, of, state_of
from tests.web import request

pytestmark = forks_beside_threads


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Numbers are those of this moment, however busy the machine is."""
    monkeypatch.setattr(team, "PROMPT", PATIENCE)


def get(server, path):
    """The status code of an answer, and its text."""
    host, port = re.fullmatch(r"http://(.+):(\d+)/", server.status_url).groups()
    response, body = request((host, int(port)), path)
    return response.status, body.decode()


def data(server, path="/stats.json"):
    code, text = get(server, path)
    assert 200 == code
    return json.loads(text)


def new_team(handler=Shout, base=greensock.TCPServer, **settings):
    return new_server(handler, base, **{"status_address": "0", **settings})


@contextmanager
def clients_of_all(server, wanted=2):
    """A client of each of so many workers, by the worker's pid; Stay is to be the handler.

    The numbers have these clients in them by then, and others that were one too many.
    """
    with ExitStack() as clients:
        found = {}
        count = 0

        def all_have_one():
            nonlocal count
            client = clients.enter_context(connect(server))
            found.setdefault(int(client.recv(100)), client)
            count += 1
            return len(found) == wanted

        wait_until(all_have_one)
        wait_until(lambda: data(server)["opened"] >= count)
        yield found


class Stay(greensock.BaseRequestHandler):
    """Tells its process, then sends back what comes."""

    def handle(self):
        self.request.sendall(b"%d" % os.getpid())
        while data := self.request.recv(65536):
            self.request.sendall(data)


def desk_of(server):
    """The pid of the process that serves the page, once it does."""
    assert 200 == get(server, "/healthz")[0]
    (desk,) = set(children()) - {each["pid"] for each in data(server)["workers"]}
    return desk


def samples(server):
    """The samples of all metrics, by name and then by (worker, the other labels)."""
    code, text = get(server, "/metrics")
    assert 200 == code
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name.removeprefix("greensock_"), {})[labels] = sample.value
    return found


@pytest.mark.parametrize(
    ("base", "worker_model"), [(greensock.TCPServer, "greenlet"), (HTTPServer, "thread")]
)
def test_sums_are_of_all_workers(base, worker_model):
    server = new_team(Stay, base, worker_model=worker_model)
    with at_work(server) as record:
        with clients_of_all(server) as clients:
            for client in clients.values():
                client.sendall(b"hello")
                assert b"hello" == client.recv(5, socket.MSG_WAITALL)
            wait_until(lambda: data(server)["sent"] >= 10)
            found = data(server)
        assert found["opened"] == found["requests"] >= 2
        assert found["opened"] == found["active"] == found["servers"][0]["connections"]
        (one,) = found["servers"]
        assert ("prefork", "serving") == (one["model"], one["state"])
        assert (os.getpid(), 10, True) == (found["pid"], found["received"], found["ready"])
        workers = found["workers"]
        assert [(0, "serving"), (1, "serving")] == [(one["index"], one["state"]) for one in workers]
        assert {event.pid for event in record} == {one["pid"] for one in workers}
        assert [5, 5] == [one["received"] for one in workers]
        assert found["opened"] == sum(one["opened"] for one in workers)
        assert found["requests"] == sum(one["requests"] for one in workers)
        assert found["active"] == sum(one["connections"] for one in workers)
        assert all(0 <= one["seconds"] < 60 and one["rss"] > 1 << 20 for one in workers)


def test_failures_are_counted():
    with at_work(server := new_team(Crash)):
        for _ in range(4):
            ask(server, b"")
        wait_until(lambda: data(server)["closed"] == {"failed": 4})
        found = data(server)
        assert 4 == found["errors"]["failed"] == sum(one["failed"] for one in found["workers"])


@pytest.mark.parametrize("base", [greensock.UDPServer, greensock.UnixDatagramServer])
def test_datagrams_are_requests(base, tmp_path):
    where = {} if base is greensock.UDPServer else {"address": str(tmp_path / "path")}
    with at_work(server := new_team(ShoutDatagram, base, **where)):
        for _ in range(5):
            assert b"HELLO" == ask(server, b"hello")
        assert (5, 0) == tuple(data(server)[name] for name in ("requests", "opened"))


def test_metrics_have_a_label_for_the_worker():
    with at_work(server := new_team(Stay)), clients_of_all(server) as clients:
        found = samples(server)
        assert {("greenlet", "0"), ("greenlet", "1")} == set(found["connections_total"])
        assert sum(found["connections_total"].values()) >= len(clients)
        assert found["connections_total"] == found["connections_active"] == found["requests_total"]
        assert {("0",): 0, ("1",): 0} == found["accept_paused"]
        assert {(): 2} == found["workers"]
        memory = found["worker_resident_memory_bytes"]
        assert [("0",), ("1",)] == list(memory) and min(memory.values()) > 1 << 20
        for client in clients.values():
            client.shutdown(socket.SHUT_WR)
            rest(client)
        wait_until(lambda: sum(data(server)["closed"].values()) >= 2)
        found = samples(server)
        ended = found["connections_closed_total"]
        assert {("greenlet", "finished", "0"), ("greenlet", "finished", "1")} == set(ended)
        durations = found["connection_duration_seconds_count"]
        assert {("greenlet", "0"), ("greenlet", "1")} == set(durations)
        none = {("died", "0"): 0, ("died", "1"): 0, ("hung", "0"): 0, ("hung", "1"): 0}
        assert none == found["worker_restarts_total"]


def numbers(found):
    """All that never goes down."""
    return [
        *(found[name] for name in ("opened", "received", "sent", "requests")),
        *(sum(found[name].values()) for name in ("closed", "errors", "restarts")),
    ]


def test_what_a_worker_has_counted_stays_counted_when_it_is_killed():
    """Nobody who looks sees less than before, at any time."""
    with at_work(server := new_team(Stay)) as record, clients_of_all(server) as clients:
        before = seen = data(server)
        assert before["opened"] >= 2

        def the_next_has_come():
            nonlocal seen
            last, seen = seen, data(server)
            assert all(one <= other for one, other in zip(numbers(last), numbers(seen)))
            return len(of(record, IWorkerStarted)) == 3

        victim = min(clients)
        lost = next(one["opened"] for one in before["workers"] if one["pid"] == victim)
        os.kill(victim, signal.SIGKILL)
        wait_until(the_next_has_come)
        assert the_next_has_come()
        assert victim not in [one["pid"] for one in seen["workers"]]
        assert (before["opened"], lost) == (seen["opened"], seen["closed"]["lost"])
        assert before["opened"] - lost == seen["active"]
        assert {"died": 1, "hung": 0} == seen["restarts"]
        index = of(record, IWorkerEnded)[0].index
        assert 1 == samples(server)["worker_restarts_total"]["died", str(index)]
        # Its card is not counted any more, although nobody else may have it yet.
        assert [] == json.loads(server._gs_team.board.page(index).read())["others"]


def test_what_workers_have_counted_stays_counted_when_they_are_replaced():
    with at_work(server := new_team()) as record:
        for times in range(1, 3):
            assert b"HELLO\n" == ask(server)
            server.reload()
            wait_until(lambda ended=2 * times: len(of(record, IWorkerEnded)) == ended)
            found = data(server)
            assert (times, 6 * times) == (found["opened"], found["received"])
            assert 2 * times == found["restarts"]["replaced"]


def test_a_worker_that_is_removed_leaves_its_numbers_and_is_no_restart():
    with at_work(server := new_team()) as record:
        for _ in range(9):
            ask(server)
        server.remove_worker()
        wait_until(lambda: of(record, IWorkerEnded))
        found = data(server)
        assert (9, 9) == (found["opened"], found["closed"]["finished"])
        assert ({"died": 0, "hung": 0}, 1) == (found["restarts"], len(found["workers"]))


def test_workers_note_their_numbers_unasked(monkeypatch):
    """For one that does not answer, and in case that it is killed."""
    monkeypatch.setattr(counting, "PAUSE", 0.0)
    monkeypatch.setattr(team, "PROMPT", 0.0)
    with at_work(server := new_team(workers=1, worker_timeout=1.0)) as record:
        ask(server)
        card = server._gs_team.workers[0][1].card
        wait_until(lambda: b'"requests","greenlet",1' in card.read())
        os.kill(of(record, IWorkerStarted)[0].pid, signal.SIGKILL)
        wait_until(lambda: of(record, IWorkerEnded))
        assert 1 == data(server)["opened"]


def test_a_worker_notes_when_it_leaves_and_at_its_end(monkeypatch):
    """Nothing is lost of one that ends in order, whoever was not asking."""
    monkeypatch.setattr(counting, "PAUSE", PATIENCE)
    with at_work(server := new_team(Trap, workers=1)) as record:
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            card = server._gs_team.workers[0][1].card
            assert b'"state":"serving"' in card.read()
            client.sendall(b"half")  # or else it would be taken for idle
            server.reload()
            wait_until(lambda: b'"state":"draining"' in card.read())
            client.sendall(b"end")
            client.shutdown(socket.SHUT_WR)  # the next worker has a copy of the client
        wait_until(lambda: of(record, IWorkerEnded))
        found = data(server)
        assert (1, {"finished": 1}) == (found["opened"], found["closed"])
        assert (7, 8) == (found["received"], found["sent"])


def test_workers_note_at_once_when_they_are_suspended_and_resumed(monkeypatch):
    monkeypatch.setattr(counting, "PAUSE", PATIENCE)
    with at_work(server := new_team()):
        cards = [worker.card for _, worker in server._gs_team.workers]
        for order, state in (server.suspend, b"suspended"), (server.resume, b"serving"):
            order()
            wait_until(lambda state=state: all(state in card.read() for card in cards))


def test_the_desk_is_replaced_and_loses_nobody():
    """Who comes meanwhile is answered by the next, who knows as much."""
    with at_work(server := new_team()) as record:
        ask(server)
        before = data(server)
        for _ in range(2):
            os.kill(desk_of(server), signal.SIGKILL)
            after = data(server)
            assert numbers(before) == numbers(after)
            assert before["workers"][0]["pid"] == after["workers"][0]["pid"]
        assert 2 == len(of(record, IWorkerEnded))
        assert before["opened"] == sum(samples(server)["connections_total"].values())
        assert [] == data(server, "/connections.json")["silent"]


def test_the_desk_leaves_signals_to_the_supervisor():
    """A terminal sends them to everybody, and systemd does."""
    with at_work(server := new_team()):
        desk = desk_of(server)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            os.kill(desk, number)
            assert desk == desk_of(server)


def test_connections_are_those_of_all_workers():
    with at_work(server := new_team(Stay)) as record, clients_of_all(server) as clients:
        for client in clients.values():
            client.sendall(b"a secret")
            client.recv(8, socket.MSG_WAITALL)
        code, text = get(server, "/connections.json")
        found = json.loads(text)
        mine = {"%s:%d" % client.getsockname(): pid for pid, client in clients.items()}
        listed = {one["peer"]: one for one in found["connections"]}
        assert mine == {peer: listed[peer]["pid"] for peer in mine}
        indexes = {event.pid: event.index for event in of(record, IWorkerStarted)}
        for peer, pid in mine.items():
            one = listed[peer]
            assert (indexes[pid], 8, "open", "greenlet") == tuple(
                one[name] for name in ("worker", "received", "state", "model")
            )
            assert "%s:%d" % server.server_address == one["server"]
        ages = [one["since"] for one in found["connections"]]
        assert sorted(ages) == ages
        assert (200, len(ages), []) == (code, found["total"], found["silent"])
        assert "secret" not in text


def test_of_many_connections_the_oldest_are_listed(monkeypatch):
    monkeypatch.setattr(greensock.view, "LISTED", 1)
    with at_work(server := new_team(Stay)), clients_of_all(server) as clients:
        found = data(server, "/connections.json")
        assert found["total"] >= len(clients) == 2
        (oldest,) = found["connections"]
        first = next(iter(clients.values()))  # it was the first to connect
        assert "%s:%d" % first.getsockname() == oldest["peer"]


def test_a_worker_that_does_not_answer_is_left_out_and_named(monkeypatch):
    monkeypatch.setattr(team, "PATIENCE", 0.5)
    monkeypatch.setattr(team, "PROMPT", 0.05)
    with at_work(server := new_team(Stay)), clients_of_all(server) as clients:
        before = data(server)
        silent, other = clients
        os.kill(silent, signal.SIGSTOP)
        try:
            found = data(server, "/connections.json")
            assert [silent] == [one["pid"] for one in found["silent"]]
            assert {other} == {one["pid"] for one in found["connections"]}
            assert found["total"] == len(found["connections"])
            assert before["opened"] == data(server)["opened"]  # as it has noted it
        finally:
            os.kill(silent, signal.SIGCONT)
        wait_until(lambda: data(server, "/connections.json")["total"] == before["active"])


def test_it_is_ready_while_a_worker_takes_connections():
    """Not while it is suspended or drains; but it always is well."""
    server = new_team(Trap)
    place = "%s:%d" % server.server_address
    with recorded(IWorkerStarted, IWorkerEnded) as record, serving(server) as call:
        wait_until(lambda: get(server, "/readyz") == (200, "ready\n"))
        server.suspend()
        wait_until(lambda: get(server, "/readyz") == (503, f"{place} is suspended\n"))
        server.resume()
        wait_until(lambda: get(server, "/readyz") == (200, "ready\n"))
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            client.sendall(b"half")  # or else it would be taken for idle
            draining = Call("thread", server.drain)
            wait_until(lambda: get(server, "/readyz") == (503, f"{place} is draining\n"))
            wait_until(lambda: len(of(record, IWorkerEnded)) == 1)
            assert (200, "ok\n") == get(server, "/healthz")
            assert ["draining"] == [one["state"] for one in data(server)["workers"]]
            client.shutdown(socket.SHUT_WR)
        draining.end()
        call.end()
    server.server_close()


def test_it_is_not_ready_before_a_worker_is():
    class Late(Server):
        workers = 1
        status_address = "0"

        def worker_started(self, index):
            os.kill(os.getpid(), signal.SIGSTOP)

    server = Late(LOCAL, Shout)
    with recorded(IWorkerStarted), served(server):
        place = "%s:%d" % server.server_address
        assert (503, f"{place} has no worker that is ready\n") == get(server, "/readyz")
        (one,) = data(server)["workers"]
        assert ("starting", None) == (one["state"], one["seconds"])
        wait_until(lambda: "T" == state_of(one["pid"]))
        os.kill(one["pid"], signal.SIGCONT)
        wait_until(lambda: get(server, "/readyz") == (200, "ready\n"))


def test_one_whose_hub_stands_still_is_not_ready(monkeypatch):
    monkeypatch.setattr(team, "STUCK", -1.0)
    with at_work(server := new_team()):
        assert 503 == get(server, "/readyz")[0]
        assert ["stuck"] * 2 == [one["state"] for one in data(server)["workers"]]
        assert {(): 0} == samples(server)["workers"]


def test_limits_are_added_up():
    with at_work(server := new_team(max_connections=50)):
        assert 100 == data(server)["servers"][0]["max_connections"]
    with at_work(server := new_team()):
        assert data(server)["servers"][0]["max_connections"] is None


def test_a_port_in_use_is_said_before_any_worker_begins():
    with socket.create_server(("127.0.0.1", 0)) as taken, recorded(IWorkerStarted) as record:
        text = "127.0.0.1:%d" % taken.getsockname()[1]
        server = new_team(status_address=text)
        with server, pytest.raises(OSError, match=f"cannot serve the status at {text}: Address al"):
            server.serve_forever()
        assert server.status_url is None
    assert [] == record == children()


def test_the_page_is_there_from_serving_to_closing():
    """And nothing is left of it."""
    before = descriptors()
    with new_team() as server:
        assert server.status_url is None
        for _ in range(2):
            with serving(server) as call:
                url = server.status_url
                assert b"HELLO\n" == ask(server)
                assert {url: 200}[server.status_url] == get(server, "/")[0]
                server.shutdown()
                call.end()
        assert "is stopped\n" == get(server, "/readyz")[1][-11:]
        assert 2 == data(server)["opened"]
    assert server.status_url is None
    assert (before, []) == (descriptors(), children())


def test_without_an_address_nothing_is_counted():
    def tell(request, client_address, server):
        about = server._gs_attendance._counting, server.status_url, greensock.events._subscriptions
        request.sendall(repr(about).encode())

    with served(server := new_server(tell, workers=1)):
        answer = ask(server, b"")
        assert answer.startswith(b"(None, None, ")
        assert b"Tally" not in answer
        assert 1 == len(children())  # and nobody sits at a desk


def test_workers_do_not_hold_its_port():
    """Whoever starts the program again, while old workers end, can listen there."""
    with at_work(server := new_team(workers=1)):
        pids_of_workers = [one["pid"] for one in data(server)["workers"]]
        site = os.fstat(server._gs_site.fileno()).st_ino
        for pid in pids_of_workers:
            held = {os.stat(f"/proc/{pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{pid}/fd")}
            assert site not in held


def test_the_page_shows_workers():
    with at_work(server := new_team()):
        code, text = get(server, "/")
    assert 200 == code
    assert '<tbody id="workers">' in text
