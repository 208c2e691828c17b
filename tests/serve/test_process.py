"""`resift serve` as a process: started, signalled, killed, and told what it can't use."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.checkpoints import cross_encoder

TEXTS = [f"The keeper climbed {i} steps every evening to light lamp {i}. " * 4 for i in range(30)]
BODY = {"query": "who lit the lamp", "documents": TEXTS}


@contextmanager
def process(
    *args: str, file_blocks: int | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], httpx.Client, list[Any]]]:
    """The process, a client for it, and the lines that it has logged; no file may be over `file_blocks`."""
    limit = [] if file_blocks is None else ["sh", "-c", f'ulimit -f {file_blocks}; exec "$@"', "sh"]
    started = subprocess.Popen(
        [*limit, sys.executable, "-W", "error", "-m", "resift.cli.main", "serve", *args],
        stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    assert started.stderr is not None
    lines: list[Any] = []
    try:
        while "url" not in (lines[-1] if lines else {}):
            line = started.stderr.readline()
            assert line, lines
            lines.append(json.loads(line))
        with httpx.Client(base_url=lines[-1]["url"], timeout=30, trust_env=False) as client:
            until = time.monotonic() + 30
            while client.get("/ready").status_code != 200:
                assert time.monotonic() < until
                time.sleep(0.05)
            yield started, client, lines
    finally:
        started.kill()
        lines += [json.loads(line) for line in started.stderr]
        started.stderr.close()
        started.wait()


def test_a_port_of_kubernetes_is_named_in_the_log() -> None:
    with process("--port", "0", RESIFT_PORT="tcp://10.43.1.39:8080", RESIFT_DEADLINE_MS="") as (_, _, lines):
        assert (lines[0]["event"], lines[0]["variable"]) == ("variable left aside", "RESIFT_PORT")


def test_sigterm_lets_accepted_requests_finish() -> None:
    with process("--port", "0", RESIFT_QUEUE_SECONDS="60") as (server, client, lines):
        with ThreadPoolExecutor(8) as threads:
            answers = [threads.submit(client.post, "/api/rerank", json=BODY) for _ in range(8)]
            while "resift_queue_requests 0.0" in client.get("/metrics").text:
                time.sleep(0.01)
            time.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            statuses = [a.result().status_code for a in answers]
        assert statuses == [200] * 8
        assert server.wait(10) == -signal.SIGTERM or server.returncode == 0
    assert any(line["event"] == "stopped" for line in lines)
    assert not [line for line in lines if line["level"] == "error"]


def test_kill_9_and_restart_loses_nothing_for_clients_that_retry() -> None:
    """The port is free again at once, and every client has its answer in the end."""
    with process("--port", "0") as (server, client, _):
        port = client.base_url.port

        def insist(i: int) -> int:
            for _ in range(300):
                try:
                    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as connection:
                        answer = connection.post("/api/rerank", json=BODY | {"query": f"who lit lamp {i}"})
                except httpx.TransportError:
                    time.sleep(0.1)
                    continue
                if answer.status_code == 200:
                    return len(answer.json()["results"])
                assert answer.status_code == 429
                time.sleep(0.2)
            raise AssertionError("no answer")

        with ThreadPoolExecutor(6) as threads:
            answers = [threads.submit(insist, i) for i in range(6)]
            time.sleep(0.1)
            server.kill()
            server.wait()
            with process("--port", str(port)):
                assert [a.result() for a in answers] == [30] * 6


def test_settings_reach_the_server(tmp_path: Path) -> None:
    config = tmp_path / "resift.toml"
    config.write_text('max_documents = 5\nlog_level = "debug"\non_error = "keep_order"\n')
    with process("--port", "0", "--config", str(config), "--max-documents", "7", RESIFT_MAX_DOCUMENTS="6") as started:
        _, client, _ = started
        refused = client.post("/api/rerank", json={"query": "a", "documents": ["b"] * 8})
        assert "8 documents; 7 are allowed" in refused.json()["message"]


@pytest.mark.parametrize(
    ("args", "environment", "code", "message"),
    [
        (["no-such-model"], {}, 4, "no model 'no-such-model'"),
        (["owner/name", "--offline"], {}, 4, "the model hub can't be reached (HF_HUB_OFFLINE"),
        (["--index", "/nowhere"], {}, 3, "/nowhere"),
        (["--on-error", "shrug"], {}, 3, "on_error is one of raise, keep_order, next_stage"),
        (["--host", "256.1.1.1", "--port", "0"], {}, 3, "can't listen on 256.1.1.1"),
        (["--max-memory", "64MiB", "--port", "0"], {}, 3, "--max-memory"),
        (["--api-keys-file", "/nowhere"], {}, 3, "API keys"),
        ([], {"RESIFT_PORT": "http"}, 3, "RESIFT_PORT must be int"),
        (["--config", "/nowhere.toml"], {}, 3, "/nowhere.toml"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(
    args: list[str], environment: dict[str, str], code: int, message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "resift.cli.main", "serve", *args],
        capture_output=True, text=True, env=os.environ | environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert message in done.stderr.splitlines()[-1]


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    """Also where one of them only steps in for the other."""
    folders = [cross_encoder(tmp_path / at / "m", "bert", initializer_range=x) for at, x in (("a", 0.4), ("b", 0.3))]
    done = subprocess.run(
        [sys.executable, "-m", "resift.cli.main", "serve", str(folders[0]), "--fallback", str(folders[1])],
        capture_output=True, text=True, env=os.environ | {"RESIFT_PORT": "0"}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3 and "two models are called m; name each once" in done.stderr.splitlines()[-1]


def test_a_port_in_use_is_named() -> None:
    with process("--port", "0") as (_, client, _):
        done = subprocess.run(
            [sys.executable, "-m", "resift.cli.main", "serve", "--port", str(client.base_url.port)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 3
    assert "choose another --host or --port" in done.stderr


def test_a_model_file_that_goes_away_does_not_stop_a_warm_server(tmp_path: Path) -> None:
    import shutil

    from resift.score.load import find_model

    folder = tmp_path / "gone"
    shutil.copytree(find_model("resift-mini-en"), folder)
    with process(str(folder), "--port", "0", RESIFT_CACHE=str(tmp_path / "cache")) as (_, client, _):
        shutil.rmtree(folder)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        assert client.post("/api/rerank", json=BODY).json()["reranked"]


def test_a_full_disk_costs_the_cache_and_nothing_else(tmp_path: Path) -> None:
    """A limit on the size of files breaks writes off halfway, as a full disk does; what was begun is not used later."""
    cache, model = tmp_path / "cache", cross_encoder(tmp_path / "model", "bert")  # whose shape OpenVINO compiles
    for blocks in (64, None):
        with process(str(model), "--port", "0", file_blocks=blocks, RESIFT_CACHE=str(cache)) as (_, client, lines):
            assert client.post("/api/rerank", json=BODY).json()["reranked"]
        assert not [line for line in lines if line["level"] == "error"]
        compiled = list(cache.rglob("*.blob"))
        assert bool(compiled) == (blocks is None), compiled


def test_warnings_are_lines_of_the_log() -> None:
    code = (
        "import warnings; from resift.serve.http.logs import to_stderr; to_stderr('info');"
        "warnings.warn('no cache', stacklevel=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert line["level"] == "warning" and "no cache" in line["event"]
