"""TLS by options: certificates from files, those of clients, and new ones without an end."""

import errno
import os
import signal
import socket
import ssl

import pytest

from greensock.cli.certificates import context_loader
from greensock.errors import CommandError
from tests import tls
from tests.commands import complaint_of, running

OF_ANOTHER_KIND = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIC67uYmyQaNqr7KcrCCQUsVvgOTjuSaWClzqg3rvehSH
-----END PRIVATE KEY-----
"""

# Its passphrase is x.
LOCKED = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhEKWr2oSCl8QICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEHqQ/CvYs9sbT6FStLYYhz4EQFIu
7LRBcmp2YkSdZgFkY8Bbpzrnqh8iNCgqrZySJMCcVa6xgvV8j2bABaaz1oMSTzXy
+JVERQzoEhi8gZ9qjY0=
-----END ENCRYPTED PRIVATE KEY-----
"""

BROKEN = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

HANDLER = """
import greensock

def shout(sock, address):
    peer = sock.getpeercert()
    sock.sendall(b"known" if peer else b"unknown")

class Later(greensock.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"plain")
        self.switch_to_tls()
        self.request.sendall(b"secret")
"""

OWN_KEY = tls.CERTIFICATE.removesuffix(tls.public(tls.CERTIFICATE))
OTHER_KEY = tls.OTHER.removesuffix(tls.public(tls.OTHER))

FILES = {
    "own.pem": tls.CERTIFICATE,
    "other.pem": tls.OTHER,
    "own.crt": tls.public(tls.CERTIFICATE),
    "own.key": OWN_KEY,
    "other.key": OTHER_KEY,
    "kind.key": OF_ANOTHER_KIND,
    "locked.key": LOCKED,
    "broken.crt": BROKEN,
    "broken.key": BROKEN.replace("CERTIFICATE", "PRIVATE KEY"),
    "empty": "",
    "shouting.py": HANDLER,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def serve(here, *options, handler="shout"):
    bind = "--bind", "tcp://127.0.0.1:0"
    return running("serve", f"shouting:{handler}", *bind, *options, cwd=here, measured=True)


def port_of(line):
    return int(line.rpartition(",")[0].rpartition(":")[2])


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def answer(port, *whom):
    """What a client is told."""
    with connect(port) as sock:
        return told(sock, *whom)


def told(sock, client_cert=None, trusted="own.crt"):
    """The same, who trusts ``trusted``, and shows a certificate if he has one."""
    context = ssl.create_default_context(cafile=trusted)
    if client_cert is not None:
        context.load_cert_chain(client_cert)
    with context.wrap_socket(sock, server_hostname="localhost") as client:
        return b"".join(iter(lambda: client.recv(100), b""))


@pytest.mark.worldless
@pytest.mark.parametrize("options", ["--tls-cert own.pem", "--tls-cert own.crt --tls-key own.key"])
def test_connections_are_tls_with_the_certificate(here, options):
    with serve(here, *options.split()) as command:
        assert b"unknown" == answer(port_of(command.line()))
        command.signal(signal.SIGTERM)
        assert (0, "", "") == command.end()


@pytest.mark.worldless
def test_clients_must_show_a_certificate_of_the_authority(here):
    options = "--tls-cert", "own.pem", "--tls-client-ca", "other.pem"
    with serve(here, *options) as command:
        port = port_of(command.line())
        assert b"known" == answer(port, "other.pem")
        for wrong in None, "own.pem":
            with pytest.raises((ssl.SSLError, ConnectionError)):
                answer(port, wrong)


@pytest.mark.worldless
def test_a_handler_may_begin_tls_with_the_certificate(here):
    """And those who are turned away are told so, in plain words."""
    refusal = "--max-connections", "1", "--overload", "reject", "--overload-reply", "busy"
    options = "--tls-cert", "own.pem", "--no-implicit-tls", *refusal
    with serve(here, *options, handler="Later") as command:
        port = port_of(command.line())
        with connect(port) as first:
            assert b"plain" == first.recv(5, socket.MSG_WAITALL)
            with connect(port) as second:
                assert b"busy" == second.recv(5, socket.MSG_WAITALL)
            assert b"secret" == told(first)


@pytest.mark.worldless
def test_new_files_are_in_use_after_sighup_and_wrong_ones_never(here):
    with serve(here, "--tls-cert", "own.pem", "--log-level", "info") as command:
        port = port_of(command.line())
        (here / "own.pem").write_text(BROKEN)
        command.signal(signal.SIGHUP)
        assert "--tls-cert 'own.pem' holds no private key" in command.complaint(" ERROR ")
        assert b"unknown" == answer(port)
        (here / "own.pem").write_text(tls.OTHER)
        command.signal(signal.SIGHUP)
        command.complaint("new certificates are in use")
        assert b"unknown" == answer(port, None, "other.pem")


MISSING = os.strerror(errno.ENOENT)
COMPLAINTS = {
    "--tls-cert nowhere": f"cannot read --tls-cert 'nowhere': {MISSING}",
    "--tls-cert .": f"cannot read --tls-cert '.': {os.strerror(errno.EISDIR)}",
    "--tls-cert empty": "--tls-cert 'empty' holds no certificate in PEM form",
    "--tls-cert own.key": "--tls-cert 'own.key' holds no certificate in PEM form",
    "--tls-cert own.crt": "--tls-cert 'own.crt' holds no private key in PEM form; name the file "
    "that does with --tls-key",
    "--tls-cert own.crt --tls-key nowhere": f"cannot read --tls-key 'nowhere': {MISSING}",
    "--tls-cert own.crt --tls-key empty": "--tls-key 'empty' holds no private key in PEM form",
    "--tls-cert own.crt --tls-key other.key": "--tls-key 'other.key' is not the key of the first "
    "certificate in --tls-cert 'own.crt'",
    "--tls-cert own.crt --tls-key kind.key": "--tls-key 'kind.key' is not the key of the first "
    "certificate in --tls-cert 'own.crt'",
    "--tls-cert own.crt --tls-key locked.key": "--tls-key 'locked.key' is protected by a "
    "passphrase, and nobody is there to enter it: ",
    "--tls-cert broken.crt --tls-key own.key": "--tls-cert 'broken.crt' or its key is damaged; ",
    "--tls-cert own.crt --tls-key broken.key": "--tls-cert 'own.crt' or its key is damaged; ",
    "--tls-cert own.pem --tls-client-ca nowhere": "cannot read --tls-client-ca 'nowhere': ",
    "--tls-cert own.pem --tls-client-ca own.key": "--tls-client-ca 'own.key' holds no certificates "
    "in PEM form (no certificate or crl found)",
    "--tls-cert own.pem --overload reject --overload-reply no": "--overload-reply is not sent "
    "under TLS, ",
    "--tls-cert own.pem --implicit-tls --overload reject --overload-reply no": "--overload-reply "
    "is not sent under TLS, ",
    "--tls-cert own.pem --no-implicit-tls --bind udp://127.0.0.1:0": "--[no-]implicit-tls is for "
    "connections, as tcp:// or unix: brings: there is none in udp://127.0.0.1:0",
    "--tls-cert own.pem --bind udp://127.0.0.1:0": "--tls-cert is for connections, as tcp:// or "
    "unix: brings: there is none in udp://127.0.0.1:0",
}


@pytest.mark.parametrize("options", COMPLAINTS)
def test_what_will_not_do_is_told_in_one_line(here, capsys, options):
    text = complaint_of(capsys, "serve", "shouting:shout", *options.split())
    assert text.startswith(COMPLAINTS[options]), text
    assert "\n" not in text


def test_what_may_not_be_read_is_told(here, monkeypatch):
    """The denial is made up, since these tests may run as root."""

    def denied(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(CommandError, match="^cannot read --tls-cert 'own.pem': Permission denied$"):
        context_loader("own.pem")()


def test_a_context_is_safe_without_more_options(here):
    context = context_loader("own.pem")()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert ssl.CERT_NONE == context.verify_mode
    assert ssl.CERT_REQUIRED == context_loader("own.pem", None, "own.crt")().verify_mode
