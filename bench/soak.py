"""A server under load for minutes: `make bench-soak`.

1. throughput: the same pairs through the offline engine in one call, and through 32 clients with 50 documents a
   request, to a server that refuses none of them. The clients share the machine with the server; processor time per
   document, which they don't take, is told for each side. latency: what one request of 50 documents takes over HTTP
   beside `Reranker.rerank` in a process of its own.
2. soak: clients that send 1-100 documents of 20-4,000 characters (both log-uniform) one after the other, bad rows and
   clients that leave among them (one request in 20), and once a minute 500 documents of 20,000 characters with a
   deadline of 50 s. Refused requests are sent again after Retry-After. Every answer is checked to be whole, a sample
   against the offline engine; memory and /health are looked at every second.
3. overload: requests of 20 documents at 1x and at 4x of the throughput, at random times, never sent again; and a burst
   of four times what is let in at once through Cohere's SDK, which tries again by itself, twice.
4. restarts: kill -9 under load and a restart on the same port, with clients that retry; SIGTERM under load.
5. degradations: the tests of what happens when a worker dies, files go away, the disk is full, another server fails.

Writes bench/results/soak.json and soak.svg; `--parts` renews some of it. Timings of parts 1 and 3 want a quiet machine.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

import resift
from load import QUERIES, ROOT, Server, Tally, ask, documents, misbehave, text
from machine import machine

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--overload-seconds", type=float, default=30)
    parser.add_argument("--port", type=int, default=18713)
    parser.add_argument("--out", type=Path, default=RESULTS / "soak.json")
    given = parser.parse_args()
    random.seed(7)
    for part in given.parts:
        found = PARTS[part](given, read(given.out))
        print(part, json.dumps({k: v for k, v in found.items() if k != "series"}, indent=1), flush=True)
        when = {"began": time.strftime("%Y-%m-%d %H:%M"), "load_average": os.getloadavg()[0]}
        report = read(given.out) | {part: found | when, "machine": machine("starlette", "uvicorn")}
        given.out.write_text(json.dumps(report, indent=1) + "\n")
        if part == "soak":
            given.out.with_suffix(".svg").write_text(plot(found["series"]))


def read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def measure_throughput(given: argparse.Namespace, report: dict) -> dict:
    with Server([], given.port, {"RESIFT_QUEUE_SECONDS": "600"}) as server:
        return throughput(server)


def measure_latency(given: argparse.Namespace, report: dict) -> dict:
    with Server([], given.port) as server:
        return latency(server)


def measure_soak(given: argparse.Namespace, report: dict) -> dict:
    with Server([], given.port) as server:
        return {"clients": given.clients} | asyncio.run(soak(server, given.minutes, given.clients))


def measure_overload(given: argparse.Namespace, report: dict) -> dict:
    rate = report["throughput"]["server_documents_per_second"]
    with Server([], given.port) as server:
        found = {f"{x}x": asyncio.run(overload(server, x * rate / 20, given.overload_seconds)) for x in (1, 4)}
        burst = asyncio.run(sdk_burst(server, round(4 * server.metric("resift_queue_capacity_tokens") / 2200)))
    return found | {"p99_ratio": found["4x"]["p99_s"] / found["1x"]["p99_s"], "sdk_burst": burst}


def measure_restarts(given: argparse.Namespace, report: dict) -> dict:
    with Server([], given.port) as server:
        return {"kill_9": asyncio.run(killed(server)), "sigterm": asyncio.run(ended(server))}


def measure_degradations(given: argparse.Namespace, report: dict) -> dict:
    """Each a test of the suite; its name says what is promised."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *DEGRADATIONS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = re.findall(r"^(PASSED|FAILED|ERROR) (tests/.*)$", done.stdout, re.M)
    return {"exit": done.returncode, "tests": {name: verdict for verdict, name in lines}}


PARTS = {
    "throughput": measure_throughput,
    "latency": measure_latency,
    "soak": measure_soak,
    "overload": measure_overload,
    "restarts": measure_restarts,
    "degradations": measure_degradations,
}
SERVE = "tests/serve/"
DEGRADATIONS = [
    SERVE + "test_server.py::test_a_poison_document_fails_alone",
    SERVE + "test_server.py::test_a_slice_that_hangs_is_left_behind",
    SERVE + "test_server.py::test_a_broken_model_is_left_alone_and_the_next_one_asked",
    SERVE + "test_process.py::test_a_model_file_that_goes_away_does_not_stop_a_warm_server",
    SERVE + "test_process.py::test_a_full_disk_costs_the_cache_and_nothing_else",
    SERVE + "dialects/test_client.py::test_the_deadline_holds_for_a_server_that_drips",
    SERVE + "dialects/test_client.py::test_what_passes_is_tried_again_whole",
    SERVE + "dialects/test_client.py::test_retries_end",
    SERVE + "dialects/test_client.py::test_an_answer_without_results_is_an_error",
    SERVE + "dialects/test_client.py::test_bad_entries_cost_no_document",
    SERVE + "dialects/test_client.py::test_scores_are_finite",
]


def throughput(server: Server, clients: int = 32, size: int = 50, seconds: float = 8.0) -> dict:
    """Documents a second, offline and over HTTP; the two take turns, the median of seven counts."""
    rng = random.Random(1)
    asked = [(f"{QUERIES[i % 4]} {i}", [text(rng, 400) for _ in range(size)]) for i in range(clients)]
    reranker = resift.load()
    offline, online = [], []
    spent: dict[str, list[float]] = {"offline": [], "server": [], "clients": []}
    for turn in range(8):
        began, used = time.perf_counter(), time.process_time()
        reranker.score([(q, d) for q, found in asked for d in found])
        rate = clients * size / (time.perf_counter() - began)
        used, before = time.process_time() - used, (time.process_time(), server.cpu(), documents_of(server))
        served = asyncio.run(answered(server, [{"query": q, "documents": d} for q, d in asked], seconds))
        if turn:  # the first warms both
            offline.append(rate)
            online.append(served * size)
            scored = documents_of(server) - before[2]
            spent["offline"].append(used * 1e3 / (clients * size))
            spent["server"].append((server.cpu() - before[1]) * 1e3 / scored)
            spent["clients"].append((time.process_time() - before[0]) * 1e3 / scored)
    found = {"offline": offline, "server": online}
    medians = {f"{name}_documents_per_second": statistics.median(values) for name, values in found.items()}
    return medians | {
        "ratio": statistics.median(b / a for a, b in zip(offline, online, strict=True)),
        "cpu_ms_per_document": {name: statistics.median(values) for name, values in spent.items()},
        "runs": found,
    }


def documents_of(server: Server) -> float:
    return server.metric("resift_request_documents_sum")


async def answered(server: Server, bodies: list[dict], seconds: float) -> float:
    """Answers a second to clients that each send their request again and again, from the first answer to the last."""
    tally, times, until = Tally(), [], time.monotonic() + seconds

    async def again(client: httpx.AsyncClient, body: dict) -> None:
        while time.monotonic() < until:
            await ask(client, body, tally)
            times.append(time.monotonic())

    async with client_of(server) as client:
        await asyncio.gather(*(again(client, b) for b in bodies))
    assert not tally.wrong, tally.wrong
    inside = sorted(t for t in times if t < until)
    return (len(inside) - 1) / (inside[-1] - inside[0])


def client_of(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url, timeout=600, limits=httpx.Limits(max_connections=2000), trust_env=False
    )


def latency(server: Server, rounds: int = 60) -> dict:
    """Milliseconds of one request of 50 documents, alone on the machine, in turns with the library."""
    rng = random.Random(2)
    reranker = resift.load()
    offline, online, within = [], [], []
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        for turn in range(rounds + 2):
            found = [text(rng, 400) for _ in range(50)]
            began = time.perf_counter()
            reranker.rerank(f"{QUERIES[0]} {turn}", found)
            middle = time.perf_counter()
            answer = client.post("/api/rerank", json={"query": f"{QUERIES[0]} {turn}", "documents": found})
            if turn > 1:
                offline.append((middle - began) * 1e3)
                online.append((time.perf_counter() - middle) * 1e3)
                within.append(answer.json()["trace"][0]["ms"])
    medians = {"library_ms": offline, "server_ms": online, "scoring_in_server_ms": within}
    found = {name: statistics.median(values) for name, values in medians.items()}
    outside = [a - b for a, b in zip(online, within, strict=True)]
    return found | {"added_ms": found["server_ms"] - found["library_ms"], "http_ms": statistics.median(outside)}


async def soak(server: Server, minutes: float, clients: int) -> dict:
    tally, until, series = Tally(), time.monotonic() + minutes * 60, []
    stopped: list[float] = []  # seconds in which this process did not run although it should have
    began = time.monotonic()

    async def client_loop(seed: int, client: httpx.AsyncClient) -> None:
        rng = random.Random(seed)
        while time.monotonic() < until:
            if rng.random() < 0.05:
                await misbehave(client, rng, tally, server.url)
                continue
            body = {"query": f"{rng.choice(QUERIES)} {rng.randrange(1000)}", "documents": documents(rng)}
            await ask(client, body, tally, keep=len(tally.sample) < 300 and rng.random() < 0.2)

    rng = random.Random(99)  # made before, and looked at from a thread: this process must not be what is measured
    huge = [text(rng, 20_000) for _ in range(500)]

    async def huge_loop(client: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            body = {"query": QUERIES[0], "documents": huge, "deadline_ms": 50_000}
            await asyncio.gather(ask(client, body, tally), asyncio.sleep(60))

    def watch() -> None:
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            while time.monotonic() < until:
                asked = time.perf_counter()
                client.get("/health")
                ms = (time.perf_counter() - asked) * 1e3
                series.append((time.monotonic() - began, server.resident(), ms, len(tally.seconds)))
                slept = time.monotonic()
                time.sleep(1)
                stopped.append(max(0.0, time.monotonic() - slept - 2))

    async with client_of(server) as client:
        loops = (client_loop(i, client) for i in range(clients))
        await asyncio.gather(*loops, huge_loop(client), asyncio.to_thread(watch))
    return summary(tally, series, server) | {"held_up_s": sum(stopped), "series": series}


def summary(tally: Tally, series: list[tuple], server: Server) -> dict:
    warm = series[len(series) // 4 :]
    tenth = max(1, len(warm) // 10)
    first, last = (statistics.median(r[1] for r in part) for part in (warm[:tenth], warm[-tenth:]))
    health = sorted(r[2] for r in series)
    return {
        "asked": tally.asked, "answered": tally.answered, "sent_again": tally.retried, "clients_that_left": tally.left,
        "partial": tally.partial, "statuses": tally.statuses, "wrong": tally.wrong[:20],
        "p50_s": quantile(tally.seconds, 0.5), "p99_s": quantile(tally.seconds, 0.99),
        "refusal_p99_s": quantile(tally.refusals, 0.99), "rss_after_warm_up_mib": first / 2**20,
        "rss_at_end_mib": last / 2**20, "rss_growth": last / first - 1, "health_p50_ms": quantile(health, 0.5),
        "health_p99_ms": quantile(health, 0.99), "health_max_ms": health[-1],
        "spread": spread(tally.sample), "dropped_by_server": server.metric("resift_clients_left_total"),
    }  # fmt: skip


def spread(sample: list[tuple[dict, dict]]) -> dict:
    """How far the server's scores lie from the offline engine's at the same precision, and whether the best agree."""
    reranker = resift.load()
    differences, same_top, whole = [], [], 0
    for body, found in sample:
        if found["reason"]:
            continue
        offline = reranker.score([(body["query"], d) for d in body["documents"]])
        ours = {r["index"]: r["score"]["value"] for r in found["results"] if "score" in r}
        assert {i for i, v in enumerate(offline.values) if v is not None} == set(ours)
        differences += [abs(offline.values[i] - v) for i, v in ours.items()]
        whole += 1
        if len(ours) > 1:
            best = max(v for v in offline.values if v is not None)
            same_top.append(best - offline.values[found["results"][0]["index"]])
    return {
        "requests": whole, "scores": len(differences), "max": max(differences, default=0.0),
        "p99": quantile(differences, 0.99), "worst_loss_of_first_place": max(same_top, default=0.0),
    }  # fmt: skip


def quantile(values: list[float], q: float) -> float | None:
    return sorted(values)[min(len(values) - 1, int(len(values) * q))] if values else None


async def overload(server: Server, per_second: float, seconds: float) -> dict:
    rng, tally, running = random.Random(3), Tally(), []
    bodies = [{"query": f"{QUERIES[0]} {i}", "documents": [text(rng, 400) for _ in range(20)]} for i in range(50)]
    gc.collect()
    gc.freeze()  # the client's own collections, of 50 ms and more, would be taken for the server's
    async with client_of(server) as client:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            running.append(asyncio.create_task(ask(client, rng.choice(bodies), tally, insist=False)))
            await asyncio.sleep(rng.expovariate(per_second))
        await asyncio.gather(*running)
    return {
        "requests_per_second": per_second, "asked": tally.asked, "answered": tally.answered,
        "statuses": tally.statuses, "wrong": tally.wrong[:20], "p50_s": quantile(tally.seconds, 0.5),
        "p99_s": quantile(tally.seconds, 0.99), "refusal_p50_s": quantile(tally.refusals, 0.5),
        "refusal_p99_s": quantile(tally.refusals, 0.99), "refusal_max_s": max(tally.refusals, default=None),
    }  # fmt: skip


async def sdk_burst(server: Server, count: int) -> dict:
    """All at once, and what an unmodified SDK with its own two retries makes of it."""
    import cohere

    rng, errors = random.Random(6), []
    sent = [(f"{QUERIES[3]} {i}", [text(rng, 400) for _ in range(20)]) for i in range(count)]
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=count), trust_env=False) as own:
        client = cohere.AsyncClientV2(api_key="any", base_url=server.url, httpx_client=own)

        async def once(query: str, found: list[str]) -> int:
            try:
                answer = await client.rerank(model="any", query=query, documents=found)
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises is what is counted
                errors.append(type(error).__name__)
                return 0
            return len({r.index for r in answer.results}) == len(found)

        began, refused = time.perf_counter(), refusals_of(server)
        whole = sum(await asyncio.gather(*(once(q, d) for q, d in sent)))
    return {"sent_at_once": count, "answered_whole": whole, "errors": errors, "refused": refusals_of(server) - refused,
            "seconds": time.perf_counter() - began}  # fmt: skip


def refusals_of(server: Server) -> float:
    found = httpx.get(f"{server.url}/metrics", trust_env=False).text
    return sum(float(n) for n in re.findall(r'^resift_requests_total{.*status="429"} (\S+)$', found, re.M))


async def killed(server: Server, clients: int = 16) -> dict:
    """Every client gets its answer, although the server dies while they wait."""
    tally = Tally()
    rng = random.Random(4)
    async with client_of(server) as client:
        asked = [{"query": QUERIES[1], "documents": [text(rng, 400) for _ in range(40)]} for _ in range(clients)]
        running = [asyncio.create_task(ask(client, body, tally)) for body in asked]
        await asyncio.sleep(0.5)
        server.end(signal.SIGKILL)
        await asyncio.to_thread(server.start)
        await asyncio.gather(*running)
    return {"asked": tally.asked, "answered": tally.answered, "sent_again": tally.retried, "wrong": tally.wrong}


async def ended(server: Server, clients: int = 16) -> dict:
    """Every accepted request is answered after SIGTERM."""
    tally = Tally()
    rng = random.Random(5)
    async with client_of(server) as client:
        asked = [{"query": QUERIES[2], "documents": [text(rng, 400) for _ in range(20)]} for _ in range(clients)]
        running = [asyncio.create_task(ask(client, body, tally, insist=False)) for body in asked]
        await asyncio.sleep(0.3)
        code = await asyncio.to_thread(server.end, signal.SIGTERM)
        await asyncio.gather(*running)
    return {"asked": tally.asked, "answered": tally.answered, "statuses": tally.statuses, "wrong": tally.wrong,
            "exit": code}  # fmt: skip


def plot(series: list[tuple]) -> str:
    """Memory, answers and the time of /health over the soak, as SVG."""
    width, height = 720, 150
    rows = (
        ("resident memory, MiB", [r[1] / 2**20 for r in series]),
        ("/health, ms", [r[2] for r in series]),
        ("answers so far", [float(r[3]) for r in series]),
    )
    parts = []
    for i, (name, values) in enumerate(rows):
        top, high, end = 20 + i * (height + 40), max([*values, 1e-9]), max(series[-1][0], 1e-9)
        points = " ".join(
            f"{50 + r[0] / end * (width - 60):.1f},{top + height - v / high * height:.1f}"
            for r, v in zip(series, values, strict=True)
        )
        parts.append(
            f'<text x="50" y="{top - 5}">{name}</text><text x="45" y="{top + 8}" text-anchor="end">{high:.0f}</text>'
            f'<text x="45" y="{top + height}" text-anchor="end">0</text>'
            f'<path d="M50 {top}V{top + height}H{width - 10}" fill="none" stroke="#888"/>'
            f'<polyline points="{points}" fill="none" stroke="#2563eb" stroke-width="1.5"/>'
        )
    tall = 40 + 3 * (height + 40)
    parts.append(f'<text x="{width - 10}" y="{tall - 8}" text-anchor="end">{series[-1][0] / 60:.1f} minutes</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    main()
