"""Two certificates for localhost, and both ends of TLS. They are good for nothing but tests."""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import cache, partial

import gevent.ssl
import pytest

from greensock.net import native
from tests import helpers

CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdifLzX3EPUS++5z1
Jyvo5urtETUWqKdDb+c9ZI5WSA6hRANCAAS5NAL8W/VKXYsUL+9jM2R+cElUhACY
DV/D26G4Bp/Hhu5Kr7bK5f4xUGJp60YsS82rZjIJYvY8+nC0ArdD07H+
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIULHp5GOSvOS6cuWUKZjByST8EGyswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTE2NDYwOFoYDzIxMjYxMDI4
MTY0NjA4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS5NAL8W/VKXYsUL+9jM2R+cElUhACYDV/D26G4Bp/Hhu5Kr7bK5f4x
UGJp60YsS82rZjIJYvY8+nC0ArdD07H+o28wbTAdBgNVHQ4EFgQUMZnOWMwQ1DW+
c6vtP9I3Gdq+ygYwHwYDVR0jBBgwFoAUMZnOWMwQ1DW+c6vtP9I3Gdq+ygYwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgNHAXieXNFfHt6nqV9zIRwGdoPQOp8W62fK8IgqO1DcQCIQCc
u34crdTSPFUdozsnWFcbzgynrxgXstAHEMkbo1+fPw==
-----END CERTIFICATE-----
"""

# Of somebody else, whom those who trust the first one do not know.
OTHER = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgs1S84xJJeFtzoZpN
5T7xxy9ar6NUSGywQOkeSl46GwqhRANCAASjaWQYQQiPtdEABcvxHZ2velCUnoE3
8fqQeU1kfTXMkS44JSZoAAQOtKuKyPJ6mWwCer5fX2EV404CowH6IZsD
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmjCCAUCgAwIBAgIUNNIYMwlaSqP+o0JyoyiC2f5ePukwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIxMjMwMDU2WhgPMjEyNjEwMjgyMzAw
NTZaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
o2lkGEEIj7XRAAXL8R2dr3pQlJ6BN/H6kHlNZH01zJEuOCUmaAAEDrSrisjyepls
Anq+X19hFeNOAqMB+iGbA6N2MHQwHQYDVR0OBBYEFLoYb3KVfH0enjifnWkA1Ujg
ardUMB8GA1UdIwQYMBaAFLoYb3KVfH0enjifnWkA1UjgardUMA8GA1UdEwEB/wQF
MAMBAf8wIQYDVR0RBBowGIIFb3RoZXKCCWxvY2FsaG9zdIcEfwAAATAKBggqhkjO
PQQDAgNIADBFAiEA/qgT62P8eTFEzTLea7xsb+jyJ9HDn7I+W/+kAeqtveMCID+s
UwAt+Omx6zaJVi/tuuSawPpueercQupqdQ6FMnk8
-----END CERTIFICATE-----
"""


def server_context(certificate=CERTIFICATE):
    """A context that shows the certificate."""
    _learn()
    return _server_context(certificate)


def _server_context(certificate=CERTIFICATE):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    show(context, certificate)
    return context


def client_context(certificate=CERTIFICATE):
    """A context that trusts the certificate and no other."""
    return _client_context(public(certificate))


def trusting_context():
    """A context for clients that trusts both."""
    return _client_context(public(CERTIFICATE) + public(OTHER))


def _client_context(trusted):
    context = _Considerate(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted)
    return context


# Whoever forks has it, and whoever is at work in OpenSSL for a client in the same process. That
# holds locks of its own, such as that of its random numbers, which a child of another thread would
# find held for ever.
_at_work = native.make_rlock()
os.register_at_fork(
    before=_at_work.acquire, after_in_parent=_at_work.release, after_in_child=_at_work.release
)


class _Considerate(ssl.SSLContext):
    """A client's. Nobody forks in the midst of what is done under it, unless its socket blocks."""

    def _wrap_socket(self, sock, *args, **kwargs):
        with _at_work:
            connection = super()._wrap_socket(sock, *args, **kwargs)
        return connection if sock.gettimeout() != 0.0 else _Connection(connection)


class _Connection:
    """OpenSSL's side of a socket, each step of which is done before anybody forks, or after."""

    def __init__(self, connection):
        vars(self).update(_connection=connection)

    def __getattr__(self, name):
        found = getattr(self._connection, name)
        return partial(self._do, found) if callable(found) else found

    def __setattr__(self, name, value):
        setattr(self._connection, name, value)

    def _do(self, step, *args):
        with _at_work:
            return step(*args)


def show(context, certificate):
    """Have the context show the certificate."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(certificate)
        file.flush()
        context.load_cert_chain(file.name)


def public(certificate):
    """The certificate without its key."""
    return certificate[certificate.index("-----BEGIN CERT"):]


def shown(client):
    """The certificate that the client's peer has shown."""
    der = client.getpeercert(True)
    (certificate,) = [
        each for each in (CERTIFICATE, OTHER) if ssl.PEM_cert_to_DER_cert(public(each)) == der
    ]
    return certificate


# For who leaves them as they are. To make one takes as long as to shake hands.
shared_server_context = cache(server_context)
shared_client_context = cache(client_context)


@cache
def _learn():
    """Shake hands once, for OpenSSL to have all it needs.

    Else it would fetch that, under a lock, when a client in this process first shakes hands whose
    socket blocks, and a child that is forked at that moment would wait for the lock for ever.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = _server_context().wrap_bio(to_server, to_client, server_side=True)
    client = shared_client_context().wrap_bio(to_client, to_server, server_hostname="localhost")
    for end in client, server, client, server:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    client.write(b"said")
    assert b"said" == server.read()


def connect(server, context=None, **options):
    """A client's cooperative socket that has shaken hands."""
    return gevent.ssl.SSLSocket(
        helpers.connect(server),
        _context=context or shared_client_context(),
        server_hostname="localhost",
        **options,
    )


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl command"
)


def s_client(server, *options):
    """The exit status and the output of an openssl that says hello to ``server``."""
    place = "%s:%d" % server.server_address
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # Until it is there the server takes nobody: a child that is forked meanwhile would hold a pipe
    # whose end is what subprocess waits for.
    server.suspend()
    with subprocess.Popen(["openssl", "s_client", "-connect", place, *options], **pipes) as client:
        server.resume()
        out, _ = client.communicate(b"hello\n", timeout=helpers.PATIENCE)
    return client.returncode, out


@contextmanager
def leaving(client):
    """The client, that hangs up in the end even if a forked child has a copy of its socket."""
    with client:
        yield client
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
