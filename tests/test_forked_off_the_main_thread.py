"""Children forked by a server of another thread, while the main thread has a hub of its own."""

import os
import signal
import subprocess
import sys

import gevent
import gevent.os

from greensock import ForkingTCPServer, StreamRequestHandler
from tests.helpers import LOCAL, PATIENCE, Mailbox, connect, forks_beside_threads, rest, served

pytestmark = forks_beside_threads


def hear(server):
    with connect(server) as client:
        return rest(client)


def test_nothing_of_the_main_thread_runs_in_a_child():
    """Its timers and greenlets are the parent's alone."""

    class Linger(StreamRequestHandler):
        def handle(self):
            gevent.sleep(0.2)
            self.wfile.write(b"%d" % os.getpid())

    with Mailbox() as mailbox:

        def tell():
            mailbox.put(os.getpid())

        timer = gevent.get_hub().loop.timer(0.1)
        with served(ForkingTCPServer(LOCAL, Linger)) as server, connect(server) as client:
            timer.start(tell)
            gevent.spawn_later(0.1, tell)
            assert os.getpid() != int(rest(client))
        timer.close()
        assert 2 * [os.getpid()] == mailbox.take(2)
        assert mailbox.is_empty()


def test_child_may_run_programs():
    """And learn how they have ended, by each way to ask."""

    class Run(StreamRequestHandler):
        def handle(self):
            program = [sys.executable, "-c", "import sys; print('hi'); sys.exit(7)"]
            self.wfile.write(subprocess.run(program, stdout=subprocess.PIPE).stdout)
            with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
                status = process.wait(PATIENCE), process.poll()
            pid = os.fork()
            if pid == 0:
                os._exit(9)
            status += (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),)
            self.wfile.write(str(status).encode())

    with served(ForkingTCPServer(LOCAL, Run)) as server:
        assert b"hi\n(7, 7, 9)" == hear(server)


def test_ctrl_c_ends_a_child_that_waits():
    class Wait(StreamRequestHandler):
        def handle(self):
            try:
                self.wfile.write(b"%d\n" % os.getpid())
                self.toolbox.sleep(PATIENCE)
            except KeyboardInterrupt:
                self.wfile.write(b"interrupted")

    with served(ForkingTCPServer(LOCAL, Wait)) as server, connect(server) as client:
        os.kill(int(client.recv(10)), signal.SIGINT)
        assert b"interrupted" == rest(client)
