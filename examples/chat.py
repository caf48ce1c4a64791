"""A chat room: what one member says, all the others read.

    python examples/chat.py --model greenlet    (or thread; forked members would each be alone)
    nc localhost 9000                           (or telnet, or python examples/chat_client.py)
"""

import socket
from contextlib import suppress

from greensock import StreamRequestHandler


class Member(StreamRequestHandler):
    """Somebody in the room, who is listened to here and written to by a task of their own."""
    room = {}  # members by name; its single operations are safe between threads
    patience = 30  # seconds a member may take to receive one line

    def handle(self):
        self.unheard = self.toolbox.Queue()
        with suppress(OSError):  # a member may vanish at any moment
            self.wfile.write(b"What is your name?\n")
            texts = iter(lambda: self.rfile.readline(1000).decode(errors="replace"), "")
            lines = ("".join(filter(str.isprintable, text)) for text in texts)
            for name in lines:
                if name and self.room.setdefault(name, self) is self:
                    return self.chat(name, lines)
                self.wfile.write(b"Please choose another name.\n")

    def chat(self, name, lines):
        writer = self.toolbox.spawn(self.write)
        try:
            self.say(f"* {name} is here")
            for line in lines:
                self.say(f"{name}: {line}", but=self)
        finally:
            self.room.pop(name).unheard.put(None)
            self.say(f"* {name} has left")
            writer.join()

    def draining(self):
        if hasattr(self, "unheard"):  # or else they are still at the door
            self.unheard.put("* the room is about to close")

    def say(self, text, but=None):
        for member in list(self.room.values()):
            if member is not but and member.unheard.qsize() < 1000:  # who is too slow misses it
                member.unheard.put(text)

    def write(self):
        with suppress(OSError):  # TimeoutError is one
            for text in iter(self.unheard.get, None):
                with self.toolbox.deadline(self.patience):
                    self.wfile.write(f"{text}\n".encode())
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)  # so that the reading ends as well


if __name__ == "__main__":
    from serve import options, serve
    serve(Member, options(__doc__, models=("greenlet", "thread")), hint="nc {host} {port}")
