"""A chat room: what one member says, all the others read.

    python examples/chat.py --model greenlet    (or thread; forked members would each be alone)
    nc localhost 9000                           (or telnet, or python examples/chat_client.py)
"""

from contextlib import suppress

from greensock import Room, StreamRequestHandler


class Member(StreamRequestHandler):
    """Somebody in the room. Nobody waits for those who do not read; they are cut in the end."""
    room = Room()
    names = {}  # members by name; its single operations are safe between threads

    def handle(self):
        with suppress(OSError):  # a member may vanish at any moment
            self.wfile.write(b"What is your name?\n")
            texts = iter(lambda: self.rfile.readline(1000).decode(errors="replace"), "")
            lines = ("".join(filter(str.isprintable, text)) for text in texts)
            for name in lines:
                if name and self.names.setdefault(name, self) is self:
                    return self.chat(name, lines)
                self.wfile.write(b"Please choose another name.\n")

    def chat(self, name, lines):
        self.room.join(self)
        try:
            self.say(f"* {name} is here")
            for line in lines:
                self.say(f"{name}: {line}", but=self)
        finally:
            self.room.leave(self)
            del self.names[name]
            self.say(f"* {name} has left")

    def say(self, text, but=None):
        self.room.broadcast(f"{text}\n".encode(), skip=but)

    def draining(self):
        if self in self.room:  # or else they are still at the door
            self.post(b"* the room is about to close\n")


if __name__ == "__main__":
    from serve import options, serve
    serve(Member, options(__doc__, models=("greenlet", "thread")), hint="nc {host} {port}")
