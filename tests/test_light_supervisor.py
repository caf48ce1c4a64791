"""A supervisor serves nobody, and has imported nothing that it does not need for that.

Each of its workers has what it has. Without these it is one of 24 MB, more than half of them
Python's and gevent's.
"""

import pprint

import gevent
import pytest

from tests.programs import loaded_after

pytestmark = pytest.mark.worldless

HEAVY = {"ast", "dataclasses", "datetime", "http", "inspect", "ipaddress", "pprint", "ssl"}
HEAVY_FOR_A_COMMAND = HEAVY | {"logging.handlers", "pickle", "shutil", "zipfile"}

SUPERVISING = """
from greensock.interfaces import IWorkerStarted

class Server(greensock.PreforkMixIn, greensock.TCPServer):
    workers = 1

class Greet(greensock.StreamRequestHandler):
    def handle(self):
        pass

server = Server(("127.0.0.1", 0), Greet)
greensock.events.subscribe(IWorkerStarted, lambda event: server.shutdown())
server.serve_forever()
server.server_close()
"""

COMMANDING = """
import signal
from greensock.cli import main
from greensock.interfaces import IWorkerStarted

greensock.events.subscribe(IWorkerStarted, lambda event: signal.raise_signal(signal.SIGTERM))
main(["serve", "socketserver:BaseRequestHandler", "--workers", "1", "--bind", "tcp://127.0.0.1:0"])
"""


def test_a_server_and_a_command_with_workers():
    of_server, of_command = loaded_after(HEAVY_FOR_A_COMMAND, SUPERVISING, COMMANDING)
    assert (set(), set()) == (of_server & HEAVY, of_command)


def test_hubs_format_what_they_report_as_gevent_has_them_do():
    endless: list = []
    endless.append(endless)
    assert pprint.saferepr(endless) == gevent.get_hub().format_context(endless)
