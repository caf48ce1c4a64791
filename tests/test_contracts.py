"""Every class keeps, by name and parameter, every contract it declares.

The pairs of classes and contracts are found from the declarations: in greensock's modules, and in
those of the standard library that bring servers and handlers.
"""

import http.server
import inspect
import socket
import socketserver
import sys
import wsgiref.simple_server
import xmlrpc.server
from pathlib import Path

import pytest
from zope.interface import Attribute, Interface, implementedBy, implementer
from zope.interface.interface import Method
from zope.interface.ro import ro
from zope.interface.verify import verifyClass

import greensock
import greensock.bus
import greensock.bus.redis
import greensock.events
import greensock.factories
import greensock.net.connections
import greensock.net.crossing
import greensock.net.proxy_header
import greensock.toolbox
from greensock import interfaces
from greensock.interfaces import (
    IBusEvent,
    IDatagramRequestHandler,
    IDatagramServer,
    IGreenServer,
    IRequestHandler,
    IServer,
    IServerEvent,
    IStreamServer,
    IToolbox,
)
from greensock.testing import check_contracts
from greensock.testing.contracts import signature_differences

pytestmark = pytest.mark.worldless

ROOT = Path(__file__).resolve().parent.parent

MODULES = [
    socketserver,
    http.server,
    xmlrpc.server,
    wsgiref.simple_server,
    greensock,
    greensock.bus,
    greensock.bus.redis,
    greensock.events,
    greensock.factories,
    greensock.net.connections,
    greensock.net.crossing,
    greensock.net.proxy_header,
    greensock.toolbox,
]

CONTRACTS = {name: getattr(interfaces, name) for name in interfaces.__all__}


def declared(cls):
    """The contracts a class honours, most general last."""
    return [one for one in implementedBy(cls).flattened() if one.__name__ in CONTRACTS]


CLASSES = sorted(
    {
        cls
        for module in MODULES
        for cls in vars(module).values()
        if inspect.isclass(cls) and not issubclass(cls, BaseException) and declared(cls)
    },
    key=lambda cls: (cls.__module__, cls.__qualname__),
)

# A model is half a class: what it declares, it keeps before a server.
MIXINS = [cls for cls in CLASSES if cls.__name__.endswith("MixIn")]
COMPLETE = [cls for cls in CLASSES if cls not in MIXINS and cls.__name__ != "Serving"]


def shown(value):
    return f"{value.__module__}.{value.__name__}" if inspect.isclass(value) else value.__name__


@pytest.mark.parametrize("cls", COMPLETE, ids=shown)
def test_class_has_the_methods_of_its_contracts(cls):
    for contract in declared(cls):
        assert verifyClass(contract, cls)


def make_server(cls, directory):
    options = {"bind_and_activate": False} if issubclass(cls, socketserver.TCPServer) else {}
    if "certfile" in inspect.signature(cls).parameters:
        pytest.skip("it needs a certificate; its base is checked")
    unix = getattr(cls, "address_family", None) == socket.AF_UNIX
    address = str(directory / "socket") if unix else ("127.0.0.1", 0)
    return cls(address, http.server.SimpleHTTPRequestHandler, **options)


def make_handler(cls):
    """A handler that has done its work."""
    server = greensock.BaseServer(None, cls)
    if IDatagramRequestHandler.implementedBy(cls):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            return cls((b"data", sock), sock.getsockname(), server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, address = listener.accept()
    with ours, theirs:
        theirs.shutdown(socket.SHUT_WR)
        return cls(ours, address, server)


ARGUMENTS = {
    "Message": ["news", b"hello", 1, 0],
    "ProxyHeader": [("192.0.2.1", 40000), ("198.51.100.1", 443)],
    "ProxyTLS": ["TLSv1.3", None, None, False, False],
    "RedisBus": ["redis://127.0.0.1"],
    "Relayed": [1, 2, "finished"],
    "Subscription": [greensock.bus.LocalBus(), 10, "close"],
    "Connection": [None, ("127.0.0.1", 9), "greenlet"],
    "SharedConnection": [None, ("127.0.0.1", 9), "fork"],
    "_SocketFunction": [lambda sock, address: None],
}
ARGUMENTS["_GreenTask"] = ARGUMENTS["_ThreadTask"] = [int, (), {}]


@pytest.fixture
def make_instance(tmp_path):
    """A function that returns an instance as its users would see it."""
    servers = []

    def make(cls):
        if IServer.implementedBy(cls):
            servers.append(make_server(cls, tmp_path))
            return servers[-1]
        if IRequestHandler.implementedBy(cls):
            return make_handler(cls)
        if IServerEvent.implementedBy(cls) or IBusEvent.implementedBy(cls):
            return cls(*range(len(cls.__match_args__)))
        return cls(*ARGUMENTS.get(cls.__name__, []))

    yield make
    for server in servers:
        server.server_close()


@pytest.mark.filterwarnings("ignore:.*CGIHTTPRequestHandler:DeprecationWarning")
@pytest.mark.parametrize("cls", COMPLETE, ids=shown)
def test_instance_has_what_its_contracts_ask_for(cls, make_instance):
    """Attributes, too, and the parameters by name and default, which verifyClass does not see."""
    instance = make_instance(cls)
    check_contracts(instance)
    # Of those, too, from which others are derived that say something else.
    assert [] == list(signature_differences(declared(cls), instance))


@pytest.mark.parametrize("mixin", MIXINS, ids=shown)
def test_model_keeps_its_contracts_before_any_server(mixin, make_instance):
    for base in COMPLETE:
        if not issubclass(base, socketserver.TCPServer) or issubclass(base, mixin):
            continue
        mixed = type(f"{mixin.__name__}Before{base.__name__}", (mixin, base), {})
        assert set(declared(mixin)) | set(declared(base)) == set(declared(mixed))
        check_contracts(make_instance(mixed))


def test_classes_of_the_standard_library_are_found():
    """Else the tests above would be content with nothing."""
    assert {
        socketserver.BaseServer,
        socketserver.ThreadingUnixDatagramServer,
        socketserver.DatagramRequestHandler,
        http.server.HTTPServer,
        http.server.SimpleHTTPRequestHandler,
        xmlrpc.server.SimpleXMLRPCServer,
        wsgiref.simple_server.WSGIRequestHandler,
    } <= set(COMPLETE)


PUBLIC = sorted(
    {
        cls
        for module in (greensock, greensock.events, greensock.toolbox)
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and not name.startswith("_")
        and cls.__module__.startswith("greensock.")
        and not issubclass(cls, Exception)
    },
    key=shown,
)


@pytest.mark.parametrize("cls", PUBLIC, ids=shown)
def test_public_class_declares_a_contract(cls):
    assert declared(cls)


def test_everything_public_is_looked_at():
    classes = {name for name in greensock.__all__ if inspect.isclass(getattr(greensock, name))}
    errors = {one for one in classes if issubclass(getattr(greensock, one), Exception)}
    assert classes - errors <= {cls.__name__ for cls in PUBLIC}


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_is_honoured_by_something(name):
    contract = CONTRACTS[name]
    functions = filter(inspect.isfunction, vars(greensock).values())
    assert any(contract in declared(cls) for cls in CLASSES) or any(
        contract.providedBy(function) for function in functions
    )


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_says_what_it_means(name):
    """Itself, and each method and attribute, in words of its own."""
    contract = CONTRACTS[name]
    assert contract.getDoc()
    silent = [member for member, what in contract.namesAndDescriptions() if not what.getDoc()]
    assert [] == silent


def test_contracts_are_all_public():
    found = {
        name
        for module in Path(ROOT, "interfaces").glob("[!_]*.py")
        for name, value in vars(sys.modules[f"greensock.interfaces.{module.stem}"]).items()
        if isinstance(value, type(Interface)) and value is not Interface
    }
    assert set(CONTRACTS) == found


@pytest.mark.parametrize(
    "cls",
    [
        http.server.HTTPServer,
        http.server.ThreadingHTTPServer,
        xmlrpc.server.SimpleXMLRPCServer,
        wsgiref.simple_server.WSGIServer,
        socketserver.UnixStreamServer,
        greensock.TCPServer,
        greensock.ForkingUnixStreamServer,
    ],
    ids=shown,
)
def test_stream_servers(cls):
    assert IServer.implementedBy(cls)
    assert IStreamServer.implementedBy(cls)
    assert not IDatagramServer.implementedBy(cls)


@pytest.mark.parametrize(
    "cls",
    [
        socketserver.UDPServer,
        socketserver.UnixDatagramServer,
        socketserver.ThreadingUDPServer,
        greensock.UDPServer,
        greensock.UnixDatagramServer,
        greensock.GreenletUDPServer,
    ],
    ids=shown,
)
def test_datagram_servers_are_no_stream_servers(cls):
    """Although each inherits a TCPServer."""
    assert issubclass(cls, socketserver.TCPServer)
    assert IServer.implementedBy(cls)
    assert IDatagramServer.implementedBy(cls)
    assert not IStreamServer.implementedBy(cls)


def test_green_servers_are_ours_and_those_under_a_model():
    class Site(greensock.GreenletMixIn, http.server.ThreadingHTTPServer):
        pass

    assert IGreenServer.implementedBy(Site)
    assert not IGreenServer.implementedBy(http.server.ThreadingHTTPServer)


def test_declarations_are_consistent():
    """So that zope.interface need not guess at any order."""
    servers = [cls for cls in CLASSES if issubclass(cls, socketserver.TCPServer)]
    mixed = [
        type("Mixed", (mixin, server), {})
        for mixin in MIXINS
        for server in servers
        if not issubclass(server, mixin)
    ]
    assert len(mixed) > 50
    for cls in CLASSES + mixed:
        ro(implementedBy(cls), strict=True)


class IGreeter(Interface):
    """Greets."""

    name = Attribute("Who is greeted.")

    def greet(loudly=False):
        """Greet."""

    def __exit__(exc_type, exc_value, traceback):
        """Go."""


def leave(self, kind, error, trace):
    pass


def greeter(**members):
    members = {"name": "you", "__exit__": leave, **members}
    return implementer(IGreeter)(type("Greeter", (), members))()


def test_check_accepts_what_any_caller_can_use():
    for greet in (
        lambda self, loudly=False: None,
        lambda self, loudly=False, *, more=None: None,
        lambda self, loudly=False, more=None: None,
        lambda self, *args, **kwargs: None,
    ):
        check_contracts(greeter(greet=greet))
    check_contracts(greeter(greet=getattr))  # which does not tell what it takes


@pytest.mark.parametrize(
    "greet",
    [
        lambda self, loud=False: None,
        lambda self, loudly=True: None,
        lambda self, loudly: None,
        lambda self, loudly=False, /: None,
        lambda self: None,
        lambda self, times, loudly=False: None,
    ],
    ids=["renamed", "default", "required", "positional", "missing", "more"],
)
def test_check_finds_parameters_that_differ(greet):
    with pytest.raises(AssertionError, match="IGreeter|greet"):
        check_contracts(greeter(greet=greet))


def test_check_finds_what_is_missing():
    candidate = greeter()
    with pytest.raises(AssertionError, match=r"greet.*attribute was not provided"):
        check_contracts(candidate)


def test_check_finds_what_declares_nothing():
    with pytest.raises(AssertionError, match="declares no contract; decorate it with @implementer"):
        check_contracts(object())


def test_contract_of_the_toolbox_has_methods_and_attributes():
    """As a check of the checks above: they look at both."""
    kinds = {isinstance(what, Method) for _, what in IToolbox.namesAndDescriptions()}
    assert {True, False} == kinds
