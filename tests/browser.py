"""A few lines of WebDriver for tests of HTML pages: a headless Chromium, driven by chromedriver over HTTP."""

import base64
import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--disable-background-networking", "--no-first-run", "--disable-component-update"]


class Browser:
    """One window."""

    def __init__(self, base, width, height, dark):
        self.base = base
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--window-size={width},{height}",
                                                *(["--force-dark-mode"] if dark else [])]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.base += "/session/" + self.call("/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        # A headless window has a least width; the emulated screen has not.
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=width < 600)
        if dark:
            self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=600) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise RuntimeError(error.read().decode()[:2000]) from error

    def devtools(self, command, **parameters):
        return self.call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, address):
        self.call("/url", {"url": address})

    def run(self, script, *arguments):
        """What a script returns in the page."""
        return self.call("/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, seconds=300):
        end = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > end:
                raise TimeoutError(f"never true in the page: {script}")
            time.sleep(0.1)

    def press(self, key):
        """A key of the keyboard, as a user would."""
        self.call("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})

    def console(self):
        """Messages of the console since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.call("/se/log", {"type": "browser"})]

    def requests(self):
        """Addresses that were asked for since the last call."""
        messages = [json.loads(e["message"])["message"] for e in self.call("/se/log", {"type": "performance"})]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("/screenshot")))


@contextmanager
def browser(width=1280, height=900, dark=False):
    """A browser window, closed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base, window = f"http://127.0.0.1:{port}", None
    try:
        for _ in range(200):
            try:
                with urlopen(base + "/status", timeout=5):
                    break
            except (URLError, ConnectionError):
                time.sleep(0.1)
        window = Browser(base, width, height, dark)
        yield window
    finally:
        if window is not None:
            window.call("", method="DELETE")
        process.terminate()
        process.wait()
