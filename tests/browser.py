"""A headless Chromium that a test drives, through chromedriver, as W3C's WebDriver has it."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from tests.tools import PATIENCE

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
DRIVER = shutil.which("chromedriver")
# Nothing but the page itself is to be asked for, and no sandbox is there for root.
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,800",
]
# What WebDriver calls an element in JSON.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="there is no chromium, or no chromedriver"
)


class Browser:
    """One window. Every method waits until the browser has done it."""

    def __init__(self, port):
        self._port = port
        self._session = "/session"

    def begin(self, *arguments):
        """Open the window, with further ``arguments`` of Chromium."""
        chrome = {"binary": CHROMIUM, "args": [*OPTIONS, *arguments]}
        wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._ask("POST", "", capabilities={"alwaysMatch": wanted})
        self._session += f"/{answer['sessionId']}"

    def end(self):
        """Close it."""
        self._ask("DELETE", "")

    def open(self, url):
        self._ask("POST", "/url", url=url)

    def run(self, script, *arguments):
        """What the body of a function in JavaScript returns."""
        return self._ask("POST", "/execute/sync", script=script, args=arguments)

    def type(self, selector, text):
        """Press the keys in the element; "\\ue007" is Enter."""
        self._ask("POST", f"/element/{self._find(selector)}/value", text=text)

    def click(self, selector):
        self._ask("POST", f"/element/{self._find(selector)}/click")

    def text(self, selector):
        """What is to be read in the element."""
        return self._ask("GET", f"/element/{self._find(selector)}/text")

    def wait(self, script, *arguments):
        """Wait until that is true, and return it."""
        ends = time.monotonic() + PATIENCE
        while not (found := self.run(f"return {script}", *arguments)):
            assert time.monotonic() < ends, f"{script} is not true of {self.text('body')!r}"
            time.sleep(0.02)
        return found

    def resize(self, width, height):
        """Have the screen be so many pixels large."""
        about = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        cmd = "Emulation.setDeviceMetricsOverride"
        self._ask("POST", "/goog/cdp/execute", cmd=cmd, params=about)

    def complaints(self):
        """What it has written to its console since the last time, errors of its own as well."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", type="browser")]

    def _find(self, selector):
        query = {"using": "css selector", "value": selector}
        return self._ask("POST", "/element", **query)[ELEMENT]

    def _ask(self, method, path, **body):
        client = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            text = json.dumps(body) if method == "POST" else None
            client.request(method, self._session + path, text)
            answer = json.loads(client.getresponse().read())["value"]
        finally:
            client.close()
        error = answer.get("error") if isinstance(answer, dict) else None
        assert error is None, f"{error}: {answer['message']}"
        return answer


@contextmanager
def browsing():
    """A Browser, of which nothing is left afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, _driving() as port:
        browser = Browser(port)
        browser.begin(f"--user-data-dir={profile}")
        try:
            yield browser
        finally:
            browser.end()


@contextmanager
def _driving():
    """The port at which a chromedriver listens."""
    for _ in range(5):
        driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said = ""
            while line := driver.stdout.readline():
                said += line
                if found := re.search(r"started successfully on port (\d+)", line):
                    yield int(found[1])
                    return
        finally:
            driver.kill()
            driver.communicate()
        # It takes a port that is free under IPv6, and ends if somebody has it under IPv4.
    raise AssertionError(f"chromedriver does not start: {said}")
