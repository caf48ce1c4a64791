"""What a server with worker processes promises: who serves, who replaces whom, and when."""

from zope.interface import Attribute

from .models import IConcurrencyModel


class IPreforkServer(IConcurrencyModel):
    """A supervisor of worker processes, each of which serves on a hub of its own.

    ``serve_forever`` forks the workers and looks after them until it is told to end. It runs no
    hub and no thread, and blocks the thread that calls it. What is said of ``process_request`` and
    of handlers holds in a worker.

    A worker that dies is replaced at once, by the next of its line. If that dies within 0.1
    seconds of being ready the next one waits 0.1 s, then 0.2 s, and so on, up to 30 s, and there
    always is a next one. Connections that wait in the system's queue wait for whoever comes.

    In the main thread it listens to signals, of which those that the program has made arrangements
    for, or that are ignored, stay as they are: SIGTERM and SIGINT drain, SIGQUIT cuts, SIGHUP
    replaces the workers one by one, SIGTTIN adds one, SIGTTOU removes one, SIGUSR1 has every
    process call ``reopen_logs``, SIGUSR2 starts a new version of the program. A worker that is sent
    SIGTERM retires, and one that is sent SIGQUIT cuts its connections; it takes no notice of the
    other ones.

    A setting that is changed meanwhile is that of workers which begin later.

    If the supervisor is killed, its workers drain.

    Limits such as ``max_connections`` are those of each worker, and so are ``connections``, events,
    ``kick`` and calls of ``service_actions``; in the supervisor there are no connections. What
    ``drain`` has cut is told of in the workers, and it returns an empty list. ``handle_request``
    handles a request in the calling process. What a handler calls in a worker, ``shutdown``,
    ``drain``, ``suspend`` and ``resume``, is asked of the supervisor, for all workers, and returns.

    What the system's queues hold is served whatever worker dies, retires or is removed, and
    whichever version of the program has taken over. It is lost if the supervisor is killed. On
    removal, clients that connect at this very moment may have to try again, which their system
    does after a second; where ``net.ipv4.tcp_migrate_req`` is set, it is spared them.

    With a ``status_address`` one more process answers over HTTP, as told in ``greensock.status``,
    for all workers: until ``server_close``, and whichever process ends meanwhile. What workers
    have counted that have ended stays counted; of one that was killed it is what it had counted up
    to a second before, and the connections it had are closed for the reason 'lost'. No sum ever
    goes down. ``/stats.json`` has a list ``workers``, each metric a label ``worker``, which is
    a worker's index, and of ``/connections.json`` each entry a worker and its process. A worker
    that does not answer is left out there, and named. It is ready while a worker takes connections.
    """

    workers = Attribute(
        "How many there shall be: a whole number from 1 to 512, or 'cores' for one on each "
        "processor that this process may use. ``add_worker`` and ``remove_worker`` change it."
    )
    worker_model = Attribute(
        "What runs the requests in a worker: 'greenlet' or 'thread'. It is of no account in a "
        "class that has another model as well, as ``class S(PreforkMixIn, ThreadingMixIn, ...)``."
    )
    share = Attribute(
        "How workers share the address. 'reuseport': each has a listener of its own, and the "
        "system deals connections out by chance; a worker that dies leaves its queue to the next. "
        "'listener': all wait on one, and take one at a time. 'balance': one more process accepts, "
        "and deals each connection to the worker that has the fewest, which keeps long ones even. "
        "'reuseport' is 'listener' for a Unix socket, for a socket that was adopted, and where the "
        "system has no SO_REUSEPORT, and so is 'balance' for datagrams. Options that were set on "
        "the server's socket are set on all listeners; what else was done to it, such as joining "
        "a multicast group, is done to that of the first worker alone."
    )
    worker_timeout = Attribute(
        "Seconds for which a worker's hub may stand still, and for which it may take to be ready, "
        "before the worker is killed and replaced (a number above 0); None for no limit."
    )
    max_requests = Attribute(
        "Requests after which a worker retires (int, 1 or more), None for no limit."
    )
    max_requests_jitter = Attribute(
        "How many requests more it may be, at random for each worker (int, 0 or more), so that "
        "they do not retire all at once."
    )
    max_rss = Attribute(
        "Bytes of memory after which a worker retires (int, 1 or more), None for no limit. If it "
        "uses more before its first request that is told by an IWorkerFailed, and not heeded."
    )
    upgrade_timeout = Attribute(
        "Seconds a new version of the program may take to be ready, before it is killed and this "
        "one goes on (a number above 0); None for no limit."
    )
    ready_lag = Attribute(
        "Seconds (a number, 0 or more) for which it goes on taking requests after SIGTERM or "
        "SIGINT, before it drains, with ``/readyz`` telling that it is not ready: for a balancer "
        "that needs time to notice. A second signal cuts."
    )
    control_path = Attribute(
        "Where a Unix socket is opened, for its owner alone, over which 'greensock ctl' asks how "
        "the workers are and gives orders: a path (str), None for none. It is removed in the end."
    )
    status_address = Attribute(
        "Where the status is served, as 'PORT' for one on 127.0.0.1, 'HOST:PORT' or "
        "'[HOST]:PORT'; port 0 lets the system choose. None for nowhere, and then nothing is "
        "counted. If nobody can listen there, ``serve_forever`` raises OSError, and no worker has "
        "begun."
    )
    status_url = Attribute(
        "Where a browser finds the status page, such as 'http://127.0.0.1:9100/': from when the "
        "server is served to ``server_close``. None at other times, and in workers."
    )
    worker_index = Attribute(
        "In a worker its index, 0 for the first; None in any other process. It is inherited by "
        "whoever replaces the worker."
    )

    def worker_started(index):
        """Called in a new worker before it serves, on its hub, for an application to override.

        What it raises ends the worker, and is reported.
        """

    def worker_stopping():
        """Called in a worker that is about to drain or to retire, for an application to override.

        What it raises is reported.
        """

    def reopen_logs():
        """Called in the supervisor and in every worker on SIGUSR1.

        Has every ``logging.FileHandler`` of the ``logging`` module begin its file anew, and append
        to it, as other processes do. An application that logs elsewhere overrides it. What it
        raises is reported.
        """

    def reload():
        """Have the workers replaced, one by one: the next is ready before a worker retires.

        A worker that retires takes no more, ends what it is at work on as for ``drain``, and
        leaves the others the queue. If a new one does not get ready, the old one stays and
        replacing ends. Asks and returns. Any thread and signal handler may.
        """

    def add_worker():
        """Have one worker more. Asks and returns; any thread and signal handler may."""

    def remove_worker():
        """Have one worker less, but at least one; the last that came retires.

        Asks and returns; any thread and signal handler may.
        """

    def upgrade():
        """Have the program started anew, and leave to it.

        It is executed with the same arguments, in the directory and with the interpreter this one
        began with, and gets the sockets: its server that binds the same address goes on with them.
        When its workers are ready it serves, and this one drains and ends; nobody is refused in
        between. If it ends before that, or takes too long, this one goes on, and that is told by an
        IUpgradeFailed, and so it is in process 1, with whose end all others end. If this one is
        told to end before that, both do. While one is under way another call does nothing. Asks and
        returns; any thread and signal handler may.
        """
