"""A headless browser, driven by the DevTools protocol: opens pages, looks into them, takes pictures of them."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--window-size=1500,1000",
           "--force-device-scale-factor=1", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
           "--disable-background-networking", "--disable-component-update", "--enable-unsafe-swiftshader")  # fmt: skip
# All text that is on the page, and all tags, those in shadow trees as well.
DEEP = """
function* deep(node) {
  for (const child of node.children || []) {
    if (child.shadowRoot) yield* deep(child.shadowRoot);
    yield child;
    yield* deep(child);
  }
}
function visible(e) { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; }
function all(selector) { return [...deep(document)].filter(e => e.matches(selector) && visible(e)); }
function text() {
  return [...deep(document)].filter(visible).flatMap(e => [...e.childNodes])
    .filter(n => n.nodeType == 3 && n.parentElement && !['STYLE', 'SCRIPT'].includes(n.parentElement.tagName))
    .map(n => n.textContent.trim()).filter(Boolean).join('\\n');
}
"""


def program() -> str | None:
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Browser:
    """One page of one browser. `errors` are what the pages have thrown or logged as errors."""

    def __init__(self, profile: Path) -> None:
        found = program()
        assert found is not None
        command = [found, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self._log = profile / "log"
        profile.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._loop = asyncio.new_event_loop()
        self.errors: list[str] = []
        self._number = 0
        self._loop.run_until_complete(self._connect())

    async def _connect(self) -> None:
        import aiohttp  # which Lightning needs

        end = time.monotonic() + 60
        while not (found := re.search(r"ws://127\.0\.0\.1:(\d+)/\S+", self._log.read_text())):
            assert self._process.poll() is None and time.monotonic() < end, self._log.read_text()
            await asyncio.sleep(0.1)
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{found[1]}/json/list") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Page", "Runtime", "Log"):
            await self._call(f"{domain}.enable")

    async def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=60)).data)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details.get("text"))))
        elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            entry = message["params"]["entry"]
            self.errors.append(f"{entry['text']} {entry.get('url', '')}")

    def open(self, url: str) -> None:
        """Loads the page anew, also where only what stands behind the # is another."""
        self._loop.run_until_complete(self._call("Page.navigate", url="about:blank"))
        self._loop.run_until_complete(self._call("Page.navigate", url=url))

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript's, which may call `all(selector)` and `text()`."""
        source = f"(() => {{ {DEEP} return {expression}; }})()"
        answer = self._loop.run_until_complete(self._call("Runtime.evaluate", expression=source, returnByValue=True))
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 30) -> Any:
        """Until the expression is true; its value, or the last one."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)) and time.monotonic() < end:
            time.sleep(0.1)
        return value

    def picture(self, path: Path) -> None:
        answer = self._loop.run_until_complete(self._call("Page.captureScreenshot", format="png"))
        path.write_bytes(base64.b64decode(answer["data"]))

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()  # first, as the connection would wait for an answer to its end
        self._process.wait(timeout=30)
        self._loop.run_until_complete(asyncio.wait_for(self._session.close(), 30))
        self._loop.close()
