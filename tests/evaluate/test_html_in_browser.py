"""The report in a real browser: sorting, filtering, opening, a narrow screen, and no request but for the page."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from resift.evaluate import EvaluationOptions, as_html, evaluate
from tests.evaluate.small import CountingScorer, collection, models
from tests.evaluate.test_html_report import hostile

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no Chromium here: install one (Debian: apt-get install chromium), or name it in CHROMIUM"
)

WATCH = """<script>
const trouble = [];
addEventListener("error", (event) => trouble.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => trouble.push(event.violatedDirective));
</script>"""
USE = """
const everyRow = () => [...document.querySelectorAll("#queries > tbody > tr")];
const cells = (column) => everyRow().map((r) => r.cells[column].textContent);
const shown = () => everyRow().filter((r) => r.offsetHeight > 0);
const headings = [...document.querySelectorAll("#queries > thead th")];
const sorts = () => headings.map((heading) => heading.getAttribute("aria-sort"));
const result = {first: cells(3), sortsFirst: sorts()};
headings[2].querySelector("button").focus();
result.focused = document.activeElement === headings[2].querySelector("button");
document.activeElement.click();
result.up = cells(2); result.sortsUp = sorts();
headings[2].querySelector("button").click();
result.down = cells(2); result.sortsDown = sorts();
const row = shown()[0], summary = row.querySelector("summary"), height = row.offsetHeight;
result.closed = row.querySelector(".docs").checkVisibility();
summary.click();
result.opened = row.querySelector(".docs").checkVisibility() && row.offsetHeight > height;
result.grades = [...row.querySelectorAll(".docs tr td:nth-child(3)")].map((cell) => cell.textContent);
const form = document.getElementById("filter");
const choose = (words, change) => {
  form.elements.words.value = words; form.elements.change.value = change;
  form.dispatchEvent(new Event("input"));
  return [shown().length, form.querySelector("output").textContent];
};
result.all = choose("", "all"); result.worse = choose("", "worse"); result.better = choose("", "better");
result.same = choose("", "same"); result.words = choose("LAMP", "all");
result.none = choose("no such words", "all");
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and notes what was asked for."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder at an address of this machine."""
    Quiet.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def dom(address: str, profile: Path) -> str:
    """What a page has become when it is idle."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    run = [CHROMIUM, *flags, *quiet, f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom", address]
    return subprocess.run(run, capture_output=True, text=True, check=True, timeout=90).stdout


def result_of(html: str) -> Any:
    match = re.search(r'<pre id="result">(.*?)</pre>', html, re.DOTALL)
    assert match, html[-500:]
    return json.loads(unescape(match[1]))


def told(script: str) -> str:
    """A script whose `result` the page then holds as text."""
    show = "Object.assign(document.createElement('pre'), {id: 'result', textContent: JSON.stringify(result)})"
    return f"<script>{{{script}\nresult.trouble = trouble;\ndocument.body.append({show});}}</script>"


@pytest.fixture(scope="module")
def html() -> str:
    options = EvaluationOptions(cache=False, models=models(CountingScorer()))
    evaluation = evaluate(collection(queries=40), ["bm25 >> overlap@20 >> blend", "bm25 >> overlap@5"], options)
    return as_html(evaluation).replace("<body>", f"<body>{WATCH}")


@pytest.fixture(scope="module")
def result(html: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.html").write_text(html.replace("</body>", f"{told(USE)}</body>"))
    with served(folder) as address:
        value = result_of(dom(f"{address}/report.html", folder / "profile"))
    return value | {"asked": Quiet.asked}


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts]


def test_a_click_on_a_heading_sorts(result: dict[str, Any]) -> None:
    assert numbers(result["first"]) == sorted(numbers(result["first"]))
    assert result["sortsFirst"] == [None, None, None, "ascending"] and result["focused"]
    assert numbers(result["up"]) == sorted(numbers(result["up"])) != numbers(result["down"])
    assert numbers(result["down"]) == sorted(numbers(result["up"]), reverse=True)
    assert result["sortsUp"] == [None, None, "ascending", None]
    assert result["sortsDown"] == [None, None, "descending", None]


def test_a_click_on_a_query_opens_its_documents(result: dict[str, Any]) -> None:
    assert (result["closed"], result["opened"]) == (False, True)
    assert len(result["grades"]) >= 5 and set(result["grades"]) <= {"?", "0", "1", "2"}


def test_the_filter(result: dict[str, Any]) -> None:
    count, words = result["all"]
    assert (count, words) == (40, "40 of 40 queries")
    parts = [result[name][0] for name in ("worse", "better", "same")]
    assert sum(parts) == 40 and all(parts)
    changes = numbers(result["first"])
    assert parts == [sum(c < 0 for c in changes), sum(c > 0 for c in changes), sum(c == 0 for c in changes)]
    assert 0 < result["words"][0] < 40 and result["none"] == [0, "0 of 40 queries"]


def test_nothing_but_the_page_is_asked_for(result: dict[str, Any]) -> None:
    assert (result["asked"], result["trouble"]) == (["/report.html"], [])


def test_a_phone_needs_no_scrolling_sideways(html: str, tmp_path: Path) -> None:
    opened = html.replace("<details>", "<details open>")
    (tmp_path / "report.html").write_text(opened)
    script = """
    const trouble = [], frame = document.querySelector("iframe");
    frame.addEventListener("load", () => {
      const page = frame.contentDocument, root = page.documentElement;
      const result = {width: root.scrollWidth, room: root.clientWidth};
      const texts = [...page.querySelectorAll(".plot > svg text")];
      result.sizes = [...new Set(texts.map((text) => Math.round(text.getBoundingClientRect().height)))];
      const pre = Object.assign(document.createElement("pre"), {id: "result", textContent: JSON.stringify(result)});
      document.body.append(pre);
    });"""
    frame = '<iframe style="width:375px;height:900px;border:0"></iframe>'
    start = 'frame.src = "report.html";'
    (tmp_path / "phone.html").write_text(f"<!DOCTYPE html><body>{frame}<script>{script}{start}</script></body>")
    with served(tmp_path) as address:
        value = result_of(dom(f"{address}/phone.html", tmp_path / "profile"))
    assert value["width"] == value["room"] <= 375 and min(value["sizes"]) >= 11


def test_texts_of_others_run_nothing(tmp_path: Path) -> None:
    options = EvaluationOptions(cache=False, models=models(CountingScorer()))
    page = as_html(hostile(evaluate(collection(), ["bm25 >> overlap@20"], options)))
    script = """
    const result = {title: document.title, images: document.images.length,
      handlers: [...document.querySelectorAll("*")].filter((e) => e.onload || e.onerror).length};"""
    page = page.replace("<body>", f"<body>{WATCH}").replace("</body>", f"{told(script)}</body>")
    (tmp_path / "report.html").write_text(page)
    with served(tmp_path) as address:
        value = result_of(dom(f"{address}/report.html", tmp_path / "profile"))
    assert value["title"].startswith("Evaluation of </script>") and (value["images"], value["handlers"]) == (0, 0)
    assert (value["trouble"], Quiet.asked) == ([], ["/report.html"])
