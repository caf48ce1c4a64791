"""SOCKS 5: clients say where they want to be connected to."""

from .handling import ProxyHandler
from .socks import CONNECT, Conversation, Login, Reply, Request, SocksError, code_of, reply


class Socks(ProxyHandler):
    """Serves CONNECT, to addresses and names. BIND and UDP ASSOCIATE are refused."""

    mode = "socks"

    def serve(self):
        conversation = Conversation(self.users is not None)
        try:
            with self.toolbox.deadline(self.patience):
                request = self._request(conversation)
        except SocksError as error:
            self.note("not understood", reason=error.reason)
            self.say_last(error.answer)
            return
        if request is None:
            self.note("left")
            return
        target = f"{request.host}:{request.port}"
        if request.command != CONNECT:
            self._refuse(Reply.COMMAND_UNKNOWN, target, f"command {request.command}")
            return
        try:
            onward = self.connect(request.host, request.port)
        except OSError as error:
            self._refuse(code_of(error), target, error)
            return
        with onward:
            self.request.sendall(reply(Reply.SUCCEEDED, onward.getsockname()))
            onward.sendall(conversation.rest)
            self.note(self.relay(onward).reason, target)

    def _request(self, conversation):
        """What the client wants; None if it has left before saying so."""
        data = b""
        while True:
            event = conversation.feed(data)
            data = b""
            if isinstance(event, Request):
                return event
            if isinstance(event, bytes):
                self.request.sendall(event)
            elif isinstance(event, Login):
                conversation.judge(self.users.know(event.name, event.password))
            else:
                data = self.request.recv(1024)
                if not data:
                    return None

    def _refuse(self, code, target, reason):
        self.note(code.name.lower().replace("_", " "), target, reason)
        self.say_last(reply(code))
