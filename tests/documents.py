"""What is written for readers, whose code is run as they would: README and the pages of docs/."""

import json
import os
import re
import textwrap
import threading
from contextlib import suppress
from pathlib import Path

from greensock import events, interfaces
from tests.programs import ROOT, Client, run

DOCS = ROOT / "docs"
# How a python runs the code of the documents that follow, in the world of the tests.
_RUN = "from tests import world\nimport sys\nfrom tests.documents import main\nmain(sys.argv[1:])"
FENCED = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def code_of(path):
    """The blocks of Python in a document."""
    text = path.read_text()
    if path.suffix != ".rst":
        return FENCED.findall(text)
    return [textwrap.dedent(block) for block in INDENTED.findall(text)]


def answers_of(*paths):
    """What the servers in documents answer when their code is run, in order."""
    status, out, errors = run(_RUN, *map(str, paths))
    assert 0 == status, errors
    return json.loads(out.splitlines()[-1])


def main(paths):
    """Run the blocks of each as one program, visit every server in it, and print the answers."""
    answers = []

    def visit(server):
        with Client.connect(server.server_address) as client:
            answer = b""
            with suppress(OSError):  # whoever does not read what it says may have left already
                client.send(b"visitor\n")
                client.end()
            with suppress(ConnectionError):
                while part := client.file.read1(1 << 16):
                    answer += part
            answers.append(answer.decode())
        server.shutdown()

    process = os.getpid()

    def started(event):
        if os.getpid() != process:
            return  # a worker, whose visitor could end all before the supervisor's has an answer
        threading.Thread(target=visit, args=[event.server]).start()

    events.subscribe(interfaces.IServerStarted, started)
    for path in map(Path, paths):
        namespace = {"__name__": "__main__"}
        for block in code_of(path):
            assert "9000" in block or "serve_forever" not in block
            exec(compile(block.replace("9000", "0"), path.name, "exec"), namespace)
    print(json.dumps(answers))
