"""From files with certificates to TLS, and what to say of files that will not do."""

import ssl
from collections.abc import Callable

from ..errors import CommandError


def context_loader(
    cert: str, key: str | None = None, client_ca: str | None = None
) -> Callable[[], ssl.SSLContext]:
    """A function that reads the files and returns a context for servers.

    ``cert``: the server's certificate, and after it those that lead to a known authority; with
    its private key, unless ``key`` names a file for that. ``client_ca``: the authorities of
    clients, who then must show a certificate. All are in PEM form.

    The function raises CommandError, one line, if the files cannot be used.
    """

    def load() -> ssl.SSLContext:
        # No compression, the server's choice of ciphers.
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # Some distributions leave this to the configuration of OpenSSL, which may say nothing.
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        # Under TLS 1.2 a client could have the server work for the asking.
        context.options |= ssl.OP_NO_RENEGOTIATION
        _load_own(context, cert, key)
        if client_ca is not None:
            _load_authorities(context, client_ca)
        return context

    return load


def _load_own(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    if b"-----BEGIN CERTIFICATE-----" not in _content("--tls-cert", cert):
        raise CommandError(f"--tls-cert {cert!r} holds no certificate in PEM form")
    option = f"--tls-cert {cert!r}" if key is None else f"--tls-key {key!r}"
    if b"PRIVATE KEY-----" not in _content("--tls-key", cert if key is None else key):
        remedy = "; name the file that does with --tls-key" if key is None else ""
        raise CommandError(f"{option} holds no private key in PEM form{remedy}")

    def refuse_to_ask() -> str:
        # OpenSSL would wait at a terminal that a service does not have.
        raise CommandError(
            f"{option} is protected by a passphrase, and nobody is there to enter it: write the "
            "key without one with 'openssl pkey', in a file that only the server may read"
        )

    try:
        context.load_cert_chain(cert, key, refuse_to_ask)
    except ssl.SSLError as error:
        raise CommandError(_explained(error, cert, option)) from None


def _explained(error: ssl.SSLError, cert: str, key_option: str) -> str:
    # A key of another kind than the certificate's leaves that without a key at all.
    if error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"{key_option} is not the key of the first certificate in --tls-cert {cert!r}"
    if not error.reason:  # which is how parsing says that it failed
        return f"--tls-cert {cert!r} or its key is damaged; 'openssl x509 -in FILE' says how"
    return f"OpenSSL does not take --tls-cert {cert!r}: {_reason(error)}"


def _load_authorities(context: ssl.SSLContext, client_ca: str) -> None:
    _content("--tls-client-ca", client_ca)
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise CommandError(
            f"--tls-client-ca {client_ca!r} holds no certificates in PEM form ({_reason(error)})"
        ) from None
    context.verify_mode = ssl.CERT_REQUIRED


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _content(option: str, path: str) -> bytes:
    # What the ssl module raises does not say which file it is about.
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot read {option} {path!r}: {reason}") from None
