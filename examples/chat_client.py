"""Talk to chat.py, or to anything that speaks in lines, where there is no nc or telnet.

    python examples/chat_client.py [HOST [PORT]]
"""

import os
import select
import socket
import sys


def talk(server, keyboard, screen):
    """Carry bytes both ways until the server ends. The keyboard's end (Ctrl-D) is told to it."""
    sources = [server, keyboard]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if server in ready:
            data = server.recv(65536)
            if not data:
                return
            screen.write(data)
            screen.flush()
        if keyboard in ready:
            data = os.read(keyboard.fileno(), 65536)
            if data:
                server.sendall(data)
            else:
                sources.remove(keyboard)
                server.shutdown(socket.SHUT_WR)


def main(host="localhost", port="9000"):
    try:
        with socket.create_connection((host, port)) as server:
            talk(server, sys.stdin.buffer, sys.stdout.buffer)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"{host}:{port}: {error}")


if __name__ == "__main__":
    if len(sys.argv) > 3 or "-h" in sys.argv or "--help" in sys.argv:
        sys.exit(__doc__)
    main(*sys.argv[1:])
