"""A client that asks over HTTP."""

import http.client

from tests.helpers import connect_to


class Client(http.client.HTTPConnection):
    """One that lets greenlets run while it waits, for the server may be one of them."""

    def connect(self):
        self.sock = connect_to((self.host, self.port))


def request(address, path, method="GET", headers=()):
    """The answer, and its body."""
    client = Client(*address)
    try:
        client.putrequest(method, path, skip_host=True)
        for name, value in headers or [("Host", "localhost")]:
            client.putheader(name, value)
        client.endheaders()
        response = client.getresponse()
        return response, response.read()
    finally:
        client.close()
