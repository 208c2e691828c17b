"""The commands end to end, in processes of their own: files, folders and stdin in; tables, JSON and exit codes out."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import resift
from tests.bundled import needs_multi
from tests.static_checkpoints import static

# Runs the CLI with every way to the network cut, so that a test fails if anything reaches for it.
NO_NETWORK = """
import socket, sys
def refuse(*a, **k): raise SystemExit("a socket was opened: %r" % (a,))
socket.socket.connect = socket.socket.sendto = refuse
socket.getaddrinfo = refuse
from resift.cli.main import run
sys.argv = ["resift", *sys.argv[1:]]
run()
"""


def cli(*args: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK, *args], input=stdin, capture_output=True, text=True, env=environment, cwd=cwd
    )


def found(*args: str, stdin: str = "") -> Any:
    done = cli(*args, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("query", "file", "words"),
    [
        ("who lit the lamp in the tower", "lighthouse.md", "paraffin lamp"),
        ("why does my starter smell of acetone", "bread.txt", "acetone"),
        ("laptop address 169.254", "network.rst", "DHCP"),
        ("tomatoes last frost", "garden.html", "last frost"),
        ("forgot my password", "faq.jsonl", "Forgotten password"),
        ("hydraulic brakes lever", "parts.csv", "hydraulic"),
    ],
)
def test_search_finds_the_passage(corpus: Path, query: str, file: str, words: str) -> None:
    best = found("search", query, str(corpus), "--json")["results"][0]
    assert Path(best["metadata"]["path"]).name == file
    assert words in best["text"]


def test_json_has_the_documented_fields(corpus: Path) -> None:
    value = found(
        "search", "steep steps to the lamp", str(corpus / "lighthouse.md"), str(corpus / "bread.txt"), "--json"
    )
    assert value["schema"] == 1 and value["reranked"] is True and value["query"]["text"] == "steep steps to the lamp"
    assert [s["name"] for s in value["trace"]] == ["bm25", "dense", "resift-mini-en", "blend"]
    for i, result in enumerate(value["results"], 1):
        assert result["rank"] == i
        assert result["score"]["kind"] == "fused"
        sources = [s["source"] for s in result["signals"]]
        assert sources[0] == "weighted_rrf" and sources[-2:] == ["resift-mini-en", "blend"]
    schema = (Path(resift.__file__).parents[2] / "docs/json.md").read_text()
    for field in [*value, *value["results"][0], *value["trace"][0]]:
        assert f"`{field}`" in schema


def test_the_table_shows_rank_movement_score_and_place(corpus: Path) -> None:
    done = cli("search", "keeper of the lamp", str(corpus), "--top", "3", "--explain")
    assert done.returncode == 0 and done.stderr == ""
    assert "lighthouse.md:" in done.stdout and "fused" in done.stdout and "maxsim" in done.stdout
    assert "resift-mini-en" in done.stdout


def test_no_rerank_is_the_first_stage(corpus: Path) -> None:
    value = found("search", "lamp tower", str(corpus), "--json", "--no-rerank")
    assert value["reranked"] is False
    assert {r["score"]["source"] for r in value["results"]} == {"weighted_rrf"}
    assert [r["rank"] for r in value["results"]] == [r["first_rank"] for r in value["results"]]


def test_same_results_as_the_library(corpus: Path) -> None:
    ranking = resift.search("when does the ferry sail", corpus)
    value = found("search", "when does the ferry sail", str(corpus), "--json")
    assert [r["id"] for r in value["results"]] == [c.document.id for c in ranking]
    assert [r["score"]["value"] for r in value["results"]] == pytest.approx(
        [float(c.score) for c in ranking if c.score]
    )


def test_an_index_gives_the_same_as_its_files(corpus: Path, tmp_path: Path) -> None:
    made = cli("index", str(corpus), "-o", str(tmp_path / "i"), "--tensors")
    assert made.returncode == 0 and "bytes per passage" in made.stdout
    again = found("index", str(corpus), "-o", str(tmp_path / "i"), "--tensors", "--json")
    assert (again["read"], again["reused"]) == (0, 6)
    for query in ("when does the ferry sail", "crust of the loaf"):
        stored = found("search", query, "--index", str(tmp_path / "i"), "--json")["results"]
        fresh = found("search", query, "--index", str(tmp_path / "i"), "--json", "--no-tensors")["results"]
        files = found("search", query, str(corpus), "--json")["results"]
        assert stored[0]["id"] == files[0]["id"] == fresh[0]["id"]
        assert [r["id"] for r in stored] == [r["id"] for r in fresh]


def test_another_embedder(corpus: Path, tmp_path: Path) -> None:
    model, index = str(static(tmp_path / "static", "plain")), str(tmp_path / "i")
    assert cli("index", str(corpus), "-o", index, "--embedder", model).returncode == 0
    asked = ("norway", "--no-rerank", "--json")
    indexed, direct = (
        found("search", *asked, "--index", index),
        found("search", *asked, str(corpus), "--embedder", model),
    )
    assert [r["id"] for r in indexed["results"]] == [r["id"] for r in direct["results"]]
    done = cli("search", "norway", "--index", index, "--embedder", model)
    assert done.returncode == 3 and "leave --embedder out" in done.stderr


def test_an_index_follows_its_files(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("A lamp shines.")
    command = [sys.executable, "-c", NO_NETWORK, "index", str(tmp_path / "docs"), "-o", str(tmp_path / "i")]
    with subprocess.Popen(
        [*command, "--watch", "--every", "0.1", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout is not None and watcher.stderr is not None
        assert json.loads(watcher.stdout.readline())["passages"] == 1
        assert watcher.stderr.readline().startswith(f"watching {tmp_path / 'docs'}: ")
        (tmp_path / "docs" / "b.txt").write_text("Kelp is a brown seaweed.")
        assert json.loads(watcher.stdout.readline())["passages"] == 2
        watcher.terminate()
    assert found("search", "seaweed", "--index", str(tmp_path / "i"), "--json")["results"][0]["text"].startswith("Kelp")


def test_what_an_update_removes_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"Lamp {name} shines.")
        done = cli("index", str(tmp_path / f"{name}.txt"), "-o", str(tmp_path / "i"))
    assert "2 passages" in done.stdout and "1 of other paths" in done.stdout and "removed" not in done.stderr
    done = cli("index", str(tmp_path / "b.txt"), "-o", str(tmp_path / "i"), "--replace", "--json")
    value = json.loads(done.stdout)
    assert (value["passages"], value["removed"], value["gone"]) == (1, 1, [str(tmp_path / "a.txt")])
    assert done.stderr.strip() == f"removed {tmp_path / 'a.txt'}"


def test_other_languages_are_not_reranked_by_a_model_that_does_not_read_them(tmp_path: Path) -> None:
    (tmp_path / "ta.txt").write_text("நார்வேயின் தலைநகரம் ஓஸ்லோ ஆகும்.\n\nரொட்டி அடுப்பில் சுடப்படுகிறது.\n", "utf-8")
    value = found("search", "நார்வேயின் தலைநகரம்", str(tmp_path / "ta.txt"), "--json")
    assert value["reranked"] is False and "ta: name another model, such as --model" in value["reason"]
    assert "ஓஸ்லோ" in value["results"][0]["text"]


@needs_multi
def test_other_languages_are_reranked_by_the_multilingual_model(tmp_path: Path) -> None:
    (tmp_path / "zh.txt").write_text("灯塔的看守人每天晚上点亮油灯。\n\n面包在烤箱里烤二十分钟。\n", "utf-8")
    value = found("search", "谁点亮了油灯", str(tmp_path / "zh.txt"), "--json")
    assert value["reranked"] and "resift-mini-multi: the query and the texts are zh" in value["reason"]
    assert "油灯" in value["results"][0]["text"] and value["trace"][-2]["name"] == "resift-mini-multi"


def test_nothing_found_is_no_error(corpus: Path) -> None:
    done = cli("search", "zyzzyva", str(corpus / "faq.jsonl"))
    assert done.returncode == 0


def test_paths_or_an_index(corpus: Path) -> None:
    for args in ([], [str(corpus), "--index", "x"]):
        done = cli("search", "lamp", *args)
        assert done.returncode == 3 and "either paths" in done.stderr


REQUEST = json.dumps(
    {
        "id": "q7",
        "query": "capital of norway",
        "documents": ["Bread is baked.", {"id": "x", "text": "Oslo is the capital of Norway."}],
    }
)


@pytest.mark.parametrize("source", ["stdin", "file"])
def test_rerank_jsonl(tmp_path: Path, source: str) -> None:
    (tmp_path / "requests.jsonl").write_text(REQUEST + "\n" + REQUEST + "\n")
    stdin = (tmp_path / "requests.jsonl").read_text() if source == "stdin" else ""
    args = [] if source == "stdin" else [str(tmp_path / "requests.jsonl"), "-o", str(tmp_path / "out.jsonl")]
    done = cli("rerank", *args, stdin=stdin)
    assert done.returncode == 0, done.stderr
    lines = (done.stdout if source == "stdin" else (tmp_path / "out.jsonl").read_text()).splitlines()
    assert len(lines) == 2
    value = json.loads(lines[0])
    assert value["query"] == {"id": "q7", "text": "capital of norway"}
    assert [r["id"] for r in value["results"]] == ["x", "0"]
    assert value["results"][0]["score"]["kind"] == "maxsim" and value["results"][0]["first_rank"] == 2


def test_rerank_a_trec_run(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"_id": "1", "text": "capital of norway"}\n')
    (tmp_path / "d.jsonl").write_text(
        '{"_id": "a", "text": "Bread is baked."}\n'
        '{"_id": "b", "text": "Oslo is the capital of Norway."}\n'
        '{"_id": "c", "text": "n"}\n'
    )
    run = "1 Q0 a 1 9.5 bm25\n1 Q0 b 2 9.1 bm25\n"
    done = cli(
        "rerank",
        "--queries",
        str(tmp_path / "q.jsonl"),
        "--documents",
        str(tmp_path / "d.jsonl"),
        "--no-blend",
        stdin=run,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 Q0 b 1 1 resift\n1 Q0 a 2 0 resift\n"
    missing = cli(
        "rerank",
        "--queries",
        str(tmp_path / "q.jsonl"),
        "--documents",
        str(tmp_path / "d.jsonl"),
        stdin="1 Q0 z 1 1 t\n",
    )
    assert missing.returncode == 3 and "'z'" in missing.stderr


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_run_with_tables_as_windows_writes_them(tmp_path: Path, end: str) -> None:
    (tmp_path / "q.tsv").write_text(f"1\tcapital of Norway{end}", newline="")
    (tmp_path / "d.tsv").write_text(f"10\tBread is baked{end}20\tOslo is the capital of Norway{end}", newline="")
    run = "\ufeff" + f"1 Q0 10 1 2.0 t{end}1 Q0 20 2 1.0 t{end}"
    tables = ["--queries", str(tmp_path / "q.tsv"), "--documents", str(tmp_path / "d.tsv"), "--no-blend"]
    done = cli("rerank", *tables, stdin=run)
    assert done.stdout == "1 Q0 20 1 1 resift\n1 Q0 10 2 0 resift\n", done.stderr
    (tmp_path / "q.tsv").write_text("9\tcapital of Norway\n")
    refused = cli("rerank", *tables, stdin=run)
    assert refused.returncode == 3 and "whose first id is '9', such as query '1'" in refused.stderr
    (tmp_path / "q.tsv").write_text("1\tcapital of Norway\n1\tcapital of Chad\n")
    refused = cli("rerank", *tables, stdin=run)
    assert refused.returncode == 3 and "q.tsv has two texts under the id '1'" in refused.stderr


def test_stdin_is_read_as_files_are() -> None:
    request = json.dumps({"query": "Zürich", "documents": ["Zürich is a city"]}, ensure_ascii=False)
    for content in (request.encode("utf-8-sig"), request.encode("utf-16"), gzip.compress(request.encode())):
        done = subprocess.run(
            [sys.executable, "-m", "resift.cli.main", "rerank"], input=content, capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "latin-1:replace", "PYTHONUTF8": "0"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["query"]["text"] == "Zürich"


def test_the_end_of_what_is_typed_is_said_once() -> None:
    keyboard, terminal = os.openpty()
    os.write(keyboard, REQUEST.encode() + b"\n\x04")
    command = [sys.executable, "-m", "resift.cli.main", "rerank"]
    done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, timeout=60)
    os.close(terminal)
    os.close(keyboard)
    assert json.loads(done.stdout)["results"][0]["id"] == "x", done.stderr


def test_files_out_of_a_shell_are_read_once(tmp_path: Path) -> None:
    requests = "".join(json.dumps({"query": "lamp", "documents": ["a lamp", "x" * 900]}) + "\n" for _ in range(120))
    (tmp_path / "r.jsonl").write_text(requests)
    (tmp_path / "q.jsonl").write_text('{"id": "1", "text": "lamp"}\n')
    (tmp_path / "d.jsonl").write_text('{"id": "a", "text": "a lamp"}\n')
    resift_ = f"{sys.executable} -m resift.cli.main"

    def shell(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command.replace("resift ", f"{resift_} ", 1)], capture_output=True, text=True, cwd=tmp_path,
            input=requests, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert shell("resift rerank <(cat r.jsonl)").count("\n") == 120
    assert shell("resift rerank /dev/stdin").count("\n") == 120
    run = "echo 1 Q0 a 1 1 t"
    assert shell(f"resift rerank <({run}) --queries <(cat q.jsonl) --documents <(cat d.jsonl)") == "1 Q0 a 1 0 resift\n"
    assert "a lamp" in shell("resift search lamp <(cat d.jsonl) --no-rerank --json")
    assert '"depths"' in shell("resift bench --data <(cat r.jsonl) --depths 1 --seconds 0 --json")


def test_models_lists_the_bundled_ones_first() -> None:
    assert "resift-mini-en" in cli("models").stdout
    listed = found("models", "--json")["models"]
    ours = [m["name"] for m in listed if m["name"].startswith("resift-")]
    assert [m["name"] for m in listed[: len(ours)]] == ours == sorted(ours) and ours[0] == "resift-mini-en"
    schema = (Path(resift.__file__).parents[2] / "docs/json.md").read_text()
    for field in {f for m in listed for f in m}:
        assert f"`{field}`" in schema


def test_models_are_chosen_by_language_licence_and_window() -> None:
    table = cli("models", "--lang", "vi", "--license", "commercial", "--max-tokens", "2048").stdout
    assert "AITeamVN/Vietnamese_Reranker" in table and "BAAI/bge-reranker-v2-m3" in table
    assert "PhoRanker" not in table and "jina-reranker-v3" not in table and "resift-mini-en" not in table
    late = found("models", "--family", "late", "--lang", "en", "--json")["models"]
    assert {m["family"] for m in late} == {"late"} and late[0]["name"] == "resift-mini-en"
    assert cli("models", "--family", "wizard").returncode == 3
    assert found("models", "--lang", "VI", "--json") == found("models", "--lang", "vi", "--json")
    refused = cli("models", "--lang", "Vietnamees")
    assert refused.returncode == 3 and "name of a language; the nearest: vi (Vietnamese)" in refused.stderr


def test_a_model_is_recommended_for_a_language_first() -> None:
    """In one line, then the table with the figures and their sources; the names of languages will do."""
    recommended, empty, *table = cli("models", "--lang", "Vietnamese").stdout.splitlines()
    assert recommended.startswith("for Vietnamese (vi) use ") and empty == ""
    for row, figures in (("AITeamVN/Vietnamese_Reranker", "MRR@10 0.618 ["), ("itdainb/PhoRanker", "MRR@10 0.555 [")):
        start = next(i for i, line in enumerate(table) if line.startswith(row))
        assert figures in " ".join(table[start : start + 3])
    assert any(line.startswith("[") and "] MRR@10 on 300 questions on law, top 50; source: " in line for line in table)
    assert cli("models", "--lang", "en").stdout.startswith("for English (en) use resift-mini-en, which is bundled (")
    assert cli("models", "--lang", "vi", "--family", "static").stdout.startswith(
        "for Vietnamese (vi) none of these can be recommended"
    )


def test_a_recommendation_as_json() -> None:
    english = found("models", "--lang", "en", "--json")
    assert (english["language"], english["recommended"]) == ("en", {"name": "resift-mini-en", "bundled": True})
    japanese = found("models", "--lang", "ja", "--max-tokens", "600", "--json")
    best = japanese["recommended"]
    (row,) = [m for m in japanese["models"] if m["name"] == best["name"]]
    assert best["figure"] in row["figures"] and best["bundled"] is False
    schema = (Path(resift.__file__).parents[2] / "docs/json.md").read_text()
    for field in {*japanese, *best, *best["figure"], *(f for m in japanese["models"] for f in m)}:
        assert f"`{field}`" in schema
    assert "recommended" not in found("models", "--lang", "vi", "--family", "static", "--json")


def test_doctor_passes_the_bundled_model_and_fails_another() -> None:
    value = found("doctor", "resift-mini-en", "--json")
    assert value["ok"] is True and {f["status"] for f in value["findings"]} == {"ok", "note"}
    done = cli("doctor", "resift-static-en")
    assert done.returncode == 1 and "embedder" in done.stdout and "checks failed" in done.stdout
    broken = cli("doctor", "resift-static-en", "--json")
    assert broken.returncode == 1 and json.loads(broken.stdout)["ok"] is False


def test_export_writes_a_folder_that_reranks(tmp_path: Path) -> None:
    out = str(tmp_path / "small")
    done = cli("export", "resift-mini-en", out, "--weights", "int8")
    assert done.returncode == 0, done.stderr
    assert "Kendall's tau" in done.stdout and "144 probe pairs in en" in done.stdout
    assert found("rerank", "--model", out, stdin=REQUEST)["results"][0]["id"] == "x"
    again = cli("export", "resift-mini-en", out)
    assert again.returncode == 3 and "is there already" in again.stderr


def test_another_engine_gives_the_same_order() -> None:
    one, other = (found("rerank", "--engine", e, stdin=REQUEST)["results"] for e in ("openvino", "onnx"))
    assert [r["id"] for r in one] == [r["id"] for r in other]
    assert one[0]["score"]["value"] == pytest.approx(other[0]["score"]["value"], abs=0.02)  # bf16 may be on one side


@pytest.mark.parametrize(
    ("args", "stdin", "code", "message"),
    [
        (["rerank", "--deadline-ms", "0"], '{"query": "x", "documents": ["y"]}', 3, "more than 0 milliseconds; not 0"),
        (["search", "", "."], "", 3, "empty"),
        (["search", "q", "nowhere/at/all"], "", 3, "no such file or folder"),
        (["search", "q", "{tmp}/binary.txt"], "", 3, "binary"),
        (["search", "q", "{tmp}/empty"], "", 3, "nothing to search"),
        (["search", "q", "{tmp}/empty", "--model", "{tmp}/empty"], "", 4, "not a model folder"),
        (["search", "q", "{tmp}", "--model", "no-such-model"], "", 4, "no model 'no-such-model'"),
        (["search", "q", "{tmp}", "--top", "0"], "", 2, "top"),
        (["search", "q", "{tmp}", "--model", ""], "", 3, "model's name is empty"),
        (["search", "q", "{tmp}", "--embedder", ""], "", 3, "embedder is empty"),
        (["index", "{tmp}", "-o", "{tmp}/i", "--embedder", ""], "", 3, "embedder is empty"),
        (["rerank", "--model", " "], "", 3, "model's name is empty"),
        (["export", "", "{tmp}/out"], "", 3, "model's name is empty"),
        (["bench", "--model", ""], "", 3, "model's name is empty"),
        (["serve", "--port", "0", ""], "", 3, "models is empty"),
        (["serve", "--port", "0", "--index", ""], "", 3, "index is empty"),
        (["rerank"], '{"query": "q", "documents": ["d"], "document": []}\n', 3, "did you mean 'documents'?"),
        (["rerank"], "not json\n", 3, "-:1"),
        (["rerank"], '{"query": " ", "documents": ["a"]}\n', 3, "empty"),
        (["rerank", "{tmp}/missing.jsonl"], "", 3, "no such file"),
        (["rerank", "--queries", "q.jsonl"], "", 3, "--documents"),
        (["rerank", "--queries", "{tmp}/none.jsonl", "--documents", "{tmp}/d.jsonl"], "1 Q0 a 1 1 t\n", 3, "d.jsonl"),
        (["search", "q", "{tmp}/cut.txt.gz"], "", 3, "damaged archive"),
        (["index", "{tmp}", "-o", "{tmp}/binary.txt"], "", 3, "can't make the folder"),
        (["index", "{tmp}", "-o", "{tmp}/i", "--model", "other"], "", 3, "--tensors"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, args: list[str], stdin: str, code: int, message: str) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\x7fELF\x00\x00\x00")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"a lamp shines at night" * 99)[:-20])
    (tmp_path / "empty").mkdir()
    done = cli(*(a.replace("{tmp}", str(tmp_path)) for a in args), stdin=stdin)
    assert done.returncode == code, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    if code != 2:
        assert done.stderr.startswith("resift: ") and done.stderr.count("\n") == 1


def test_an_output_file_survives_a_failure(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious\n")
    done = cli("rerank", "-o", str(tmp_path / "out.jsonl"), stdin=REQUEST + "\nbroken\n")
    assert done.returncode == 3
    assert (tmp_path / "out.jsonl").read_text() == "precious\n"
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_an_unreadable_file_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("a lamp")
    (tmp_path / "bad.txt").write_bytes(b"\xff\x00\x00")
    done = cli("search", "lamp", str(tmp_path))
    printed = "".join(done.stdout.split())  # a long path is broken where the terminal's line ends
    assert done.returncode == 0 and "bad.txt" in done.stderr and "good.txt" in printed


def test_exit_codes_are_documented() -> None:
    from resift.cli.main import EXIT_CODES

    table = (Path(resift.__file__).parents[2] / "docs/cli.md").read_text()
    for kind, code in EXIT_CODES.items():
        assert f"| {code} | `{kind.__name__}`" in table


def test_odd_characters_and_numbers_come_through(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"id": "x", "text": "a broken \\ud83d lamp", "price": NaN, "note": null}\n')
    (result,) = found("search", "lamp", str(tmp_path / "odd.jsonl"), "--json")["results"]
    assert result["text"] == "a broken � lamp" and result["metadata"]["price"] == "nan"
    assert cli("search", "lamp", str(tmp_path / "odd.jsonl")).returncode == 0
    request = '{"query": "lamp", "documents": ["a \\ud83d lamp", "bread"]}\n'
    assert "replaced_characters" in found("rerank", stdin=request)["results"][0]["flags"]


def test_a_reader_that_leaves_early_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text((REQUEST + "\n") * 300)
    command = f"{sys.executable} -m resift.cli.main rerank {tmp_path / 'many.jsonl'} | head -c 10"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ""


def test_a_deadline_says_how_far_it_came(tmp_path: Path) -> None:
    long = "The keeper of the lighthouse lit the lamp and wrote the weather into his book every night. " * 20
    request = json.dumps({"query": "who lit the lamp", "documents": [f"{i} {long}" for i in range(400)]})
    value = found("rerank", "--depth", "400", "--deadline-ms", "100", stdin=request)
    (step,) = value["trace"]
    assert len(value["results"]) == 400 and 0 < step["scored"] < 400
    assert value["reranked"] and value["reason"] == f"deadline: resift-mini-en scored {step['scored']}/400"
    assert sum("score" in r for r in value["results"]) == step["scored"]
    (tmp_path / "faq.jsonl").write_text("".join(json.dumps({"text": f"{i} {long}"}) + "\n" for i in range(90)))
    shown = cli("search", "who lit the lamp", str(tmp_path / "faq.jsonl"), "--deadline-ms", "0.01")
    assert shown.returncode == 0 and "reranked: deadline: resift-mini-en scored 0/90" in shown.stdout
