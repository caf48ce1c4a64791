"""A certificate for localhost, and both ends of TLS with it. It is good for nothing but tests."""

import ssl
import tempfile

import gevent.ssl

from tests import helpers

_CERTIFICATE = """\
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


def server_context():
    """A context that shows the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(_CERTIFICATE)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def client_context():
    """A context that trusts the certificate and no other."""
    begin = _CERTIFICATE.index("-----BEGIN CERT")
    return ssl.create_default_context(cadata=_CERTIFICATE[begin:])


def connect(server, context=None, **options):
    """A client's cooperative socket that has shaken hands."""
    return gevent.ssl.SSLSocket(
        helpers.connect(server),
        _context=context or client_context(),
        server_hostname="localhost",
        **options,
    )
