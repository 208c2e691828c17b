"""What `soak.py` sends: requests of many sizes, bad rows, clients that insist; and the server that gets them."""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
WORDS = [w for page in sorted((ROOT / "docs").glob("*.md")) for w in re.findall(r"[^\W\d_]{2,}", page.read_text())]
QUERIES = ("who lit the lamp", "how are ties broken", "what does a reranker cost", "when does an index grow")

# Rows that must not hurt their neighbours: the body, and the status that is right for it.
SURROGATE = b'{"query": "lamp", "documents": ["\\ud800 lamp", "a \\u0000 lamp", "</s> <|im_end|> lamp", ""]}'
BAD: tuple[tuple[bytes, int], ...] = (
    (b"{", 422),
    (b"\xff\xfe", 422),
    (b"[]", 422),
    (b'{"query": "lamp"}', 422),
    (b'{"query": " ", "documents": ["a"]}', 422),
    (b'{"query": "lamp", "documents": [null]}', 422),
    (b'{"query": "lamp", "documents": [{"txet": "a"}]}', 422),
    (b'{"query": "lamp", "documents": ["a"], "top_k": 0}', 422),
    (b'{"query": NaN, "documents": []}', 422),
    (b'{"query": "lamp", "documents": []}', 200),
    (b'{"query": "lamp", "documents": ["", " "]}', 200),
    (b'{"query": "lamp", "documents": ["a", "a", "a"]}', 200),
    (SURROGATE, 200),
    (json.dumps({"query": "lamp", "documents": ["a " * 150_000]}).encode(), 413),
    (json.dumps({"query": "lamp " * 9000, "documents": ["a"]}).encode(), 413),
    (json.dumps({"query": "lamp " * 900, "documents": ["a lamp", "a door"]}).encode(), 200),
)


def text(rng: random.Random, characters: int) -> str:
    return " ".join(rng.choices(WORDS, k=characters // 6 + 1))[:characters]


def log_uniform(rng: random.Random, low: int, high: int) -> int:
    return round(low * (high / low) ** rng.random())


def documents(rng: random.Random) -> list[str]:
    """1-100 documents of 20-4,000 characters, both log-uniform."""
    return [text(rng, log_uniform(rng, 20, 4000)) for _ in range(log_uniform(rng, 1, 100))]


@dataclass
class Server:
    """`resift serve` as a process, with its resident memory."""

    arguments: list[str]
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    url: str = ""
    process: subprocess.Popen | None = None

    def start(self) -> "Server":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "resift.cli.main", "serve", "--port", str(self.port), *self.arguments],
            stderr=subprocess.DEVNULL, env=os.environ | {"RESIFT_LOG_LEVEL": "error"} | self.environment,
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.port}"
        until = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{self.url}/ready", trust_env=False).status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit("the server did not come up")
            time.sleep(0.05)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def resident(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name: str) -> float:
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", httpx.get(f"{self.url}/metrics", trust_env=False).text, re.M)
        return sum(map(float, values))

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        self.process.communicate()
        return self.process.returncode


@dataclass
class Tally:
    """What came back."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answered: int = 0
    asked: int = 0
    retried: int = 0
    left: int = 0
    partial: int = 0
    sample: list[tuple[dict, dict]] = field(default_factory=list)

    def count(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def fault(self, message: str) -> None:
        self.wrong.append(message[:300])


async def ask(client: httpx.AsyncClient, body: dict, tally: Tally, keep: bool = False, insist: bool = True) -> None:
    """One request, again after each refusal and lost connection; what comes back must be whole."""
    tally.asked += 1
    content = json.dumps(body).encode()
    while True:
        began = time.perf_counter()
        try:
            answer = await client.post("/api/rerank", content=content)
        except httpx.TransportError as error:
            if not insist:
                tally.fault(f"lost: {error!r}")
                return
            tally.retried += 1
            await asyncio.sleep(0.2)
            continue
        seconds = time.perf_counter() - began
        tally.count(answer.status_code)
        if answer.status_code == 429:
            tally.refusals.append(seconds)
            if not answer.headers.get("retry-after", "").isdigit():
                tally.fault("429 without Retry-After")
            if not insist:
                tally.answered += 1
                return
            tally.retried += 1
            await asyncio.sleep(int(answer.headers["retry-after"]) * random.uniform(0.8, 1.2))
            continue
        tally.answered += 1
        if answer.status_code != 200:
            tally.fault(f"{answer.status_code}: {answer.text}")
            return
        tally.seconds.append(seconds)
        reply = answer.json()
        if sorted(r["index"] for r in reply["results"]) != list(range(len(body["documents"]))):
            tally.fault("not every document once")
        tally.partial += bool(reply["reason"] and "scored" in reply["reason"])
        if keep:
            tally.sample.append((body, reply))
        return


async def misbehave(client: httpx.AsyncClient, rng: random.Random, tally: Tally, url: str) -> None:
    """One bad row; now and then a client that leaves."""
    if rng.random() < 0.15:
        body = json.dumps({"query": "lamp", "documents": [text(rng, 3000) for _ in range(60)]}).encode()
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST /api/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        await asyncio.sleep(rng.random())
        writer.close()
        tally.left += 1
        return
    body, status = rng.choice(BAD)
    for _ in range(50):
        answer = await client.post("/api/rerank", content=body)
        tally.count(answer.status_code)
        if answer.status_code != 429:
            break
        await asyncio.sleep(int(answer.headers["retry-after"]))
    if answer.status_code != status:
        tally.fault(f"{body[:80]!r}: {answer.status_code} instead of {status}: {answer.text}")
