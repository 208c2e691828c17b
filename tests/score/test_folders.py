"""Folders that are nearly models: adapters, a Trainer's output, names that no hub gives, odd config values."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
import safetensors.torch
import torch
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

import resift
from resift.errors import BrokenModel, InputError, ModelError, NotAModel, UnknownFamily
from resift.inspection.doctor import examine
from resift.inspection.export import export
from resift.score.load import find_model, load_embedder
from tests.checkpoints import cross_encoder, edited
from tests.vector_checkpoints import pylate, sentence_transformer

PAIRS = [("capital of norway", "oslo is the city"), ("capital of norway", "water")]


def adapted(folder: Path) -> Path:
    """Put an adapter into a folder."""
    settings = {"peft_type": "LORA", "base_model_name_or_path": "owner/base", "task_type": "SEQ_CLS", "r": 4}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    tensors = {"base_model.model.classifier.weight": torch.ones(1, 48)}
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cross_encoder(tmp_path / "model", "bert")


ADAPTER = (
    r"adapter_config\.json is a LoRA adapter for owner/base, which Resift does not apply; merge it .*merge_and_unload"
)


def test_an_adapter_beside_its_base_model(folder: Path, tmp_path: Path) -> None:
    adapted(folder)
    for engine in ("auto", "openvino", "torch"):
        with pytest.raises(UnknownFamily, match=ADAPTER):
            resift.load(folder, engine=engine)  # type: ignore[arg-type]
    with pytest.raises(UnknownFamily, match=ADAPTER):
        export(str(folder), tmp_path / "out", "openvino", "f32")
    (failure,) = [f for f in examine(str(folder)) if f.status == "fail" and f.check == "family"]
    assert "LoRA adapter" in failure.message


def test_an_adapter_alone(folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    with pytest.raises(UnknownFamily, match=ADAPTER):
        resift.load(adapted(folder))


def test_an_adapter_without_its_settings(folder: Path) -> None:
    (adapted(folder) / "adapter_config.json").unlink()
    with pytest.raises(UnknownFamily, match=r"adapter_model\.safetensors is an adapter, which"):
        resift.load(folder)


def test_an_adapter_in_a_module(tmp_path: Path) -> None:
    whole = sentence_transformer(tmp_path / "m")
    modules = json.loads((whole / "modules.json").read_text())
    encoder = whole / modules[0]["path"] if modules[0]["path"] else whole
    adapted(encoder)
    with pytest.raises(UnknownFamily, match=ADAPTER):
        load_embedder(str(whole))


def test_an_adapter_on_the_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    (adapted(folder) / "adapter_model.safetensors").unlink()  # it has no name of weights that are fetched
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, allow_patterns: str(folder))
    with pytest.raises(UnknownFamily, match=ADAPTER):
        resift.load("owner/adapter")


def test_the_output_of_a_trainer(folder: Path, tmp_path: Path) -> None:
    for step in (500, 1500, 1000):
        shutil.copytree(folder, tmp_path / "trainer" / f"checkpoint-{step}")
    with pytest.raises(
        NotAModel, match="subfolders, which have one: checkpoint-500, checkpoint-1000, checkpoint-1500$"
    ):
        resift.load(tmp_path / "trainer")
    for step in range(11, 30):
        (tmp_path / "trainer" / f"checkpoint-{step}").mkdir()
        shutil.copy(folder / "config.json", tmp_path / "trainer" / f"checkpoint-{step}")
    with pytest.raises(NotAModel, match="checkpoint-1500 and 12 more$"):
        resift.load(tmp_path / "trainer")


def test_a_folder_of_the_hubs_cache(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "models--a--b" / "snapshots" / "123abc")
    with pytest.raises(NotAModel, match="which have one: snapshots/123abc$"):
        resift.load(tmp_path / "models--a--b")


def test_an_empty_name() -> None:
    with pytest.raises(InputError, match="the model's name is empty; leave it out"):
        resift.load("")


def reply(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://hub"))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (LocalEntryNotFoundError("Connect (Got: ConnectError x)"), NotAModel, r"can't be reached \(Connect .*by hand"),
        (httpx.ConnectError("no route"), NotAModel, r"can't be reached \(no route\)"),
        (ConnectionResetError(104, "reset"), NotAModel, "can't be reached"),
        (RepositoryNotFoundError("404", response=reply(404)), NotAModel, "has no owner/name, or none for everybody"),
        (GatedRepoError("403", response=reply(403)), NotAModel, "accept them at https://huggingface.co/owner/name"),
        (HFValidationError("bad"), NotAModel, "no names of this form"),
        (
            PermissionError(13, "Permission denied"),
            ModelError,
            r"can't be kept in .* \(Permission denied\); set HF_HOME",
        ),
        (OSError(28, "No space left on device"), ModelError, r"\(No space left on device\); set HF_HOME"),
    ],
)
def test_what_the_hub_does_not_give(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], message: str
) -> None:
    def download(name: str, allow_patterns: Sequence[str]) -> str:
        raise error

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(kind, match=message):
        find_model("owner/name")


def test_the_way_to_bring_a_model_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def download(name: str, allow_patterns: Sequence[str]) -> str:
        raise LocalEntryNotFoundError("x")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(NotAModel) as raised:
        find_model("owner/name")
    assert str(raised.value) == (
        "there is no folder 'owner/name', and the model hub can't be reached (HF_HUB_OFFLINE is set). To bring the "
        "model by hand, type where the hub can be reached: hf download owner/name --local-dir name; then copy that "
        f"folder to {tmp_path}/name and name it: ./name"
    )


def test_no_home_to_fetch_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(ModelError, match="no home folder to keep owner/name in; set HF_HOME"):
        find_model("owner/name")


def retold(folder: Path, *without: str, **entries: object) -> Path:
    """Change tokenizer_config.json, and leave entries out."""
    path = folder / "tokenizer_config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in without}
    path.write_text(json.dumps(config | entries))
    return folder


def reference(folder: Path) -> list[float]:
    """What sentence-transformers scores."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), local_files_only=True, device="cpu")
    return [float(x) for x in model.predict(PAIRS, activation_fn=torch.nn.Identity(), show_progress_bar=False)]


def scores(folder: Path, engine: str = "openvino") -> list[float | None]:
    return list(resift.load(folder, precision="f32", engine=engine).score(PAIRS).values)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["TokenizersBackend", "PreTrainedTokenizerFast", "BertTokenizer"])
@pytest.mark.parametrize("without", [(), ("model_input_names",)])
def test_segments_as_the_library_that_wrote_the_folder(folder: Path, kind: str, without: tuple[str, ...]) -> None:
    retold(folder, *without, tokenizer_class=kind)
    segments = resift.load(folder).scorer.tokens.template.segments
    assert any(segments) == (kind == "BertTokenizer" or not without)
    for engine in ("openvino", "torch"):
        assert scores(folder, engine) == pytest.approx(reference(folder), abs=1e-4)
    findings = {f.check: f for f in examine(str(folder))}
    assert findings["pair encoding"].status == findings["transformers"].status == "ok"
    assert ("does not have it told" in findings["pair encoding"].message) == (not any(segments))


def test_segments_of_a_folder_that_an_older_transformers_wrote(folder: Path) -> None:
    """It was trained with them; Transformers 5 reads it without, and the doctor says so."""
    retold(folder, "model_input_names", "backend", tokenizer_class="PreTrainedTokenizerFast")
    assert any(resift.load(folder).scorer.tokens.template.segments)
    findings = {f.check: f for f in examine(str(folder))}
    assert findings["transformers"].status == "warn" and "gives other segments" in findings["transformers"].message


def test_layer_norms_under_their_older_names(folder: Path) -> None:
    expected = scores(folder)
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    older = {n: next((n.replace(new, old) for new, old in ends.items() if new in n), n) for n in tensors}
    safetensors.torch.save_file({older[n]: t for n, t in tensors.items()}, path, metadata={"format": "pt"})
    assert "bert.embeddings.LayerNorm.gamma" in safetensors.torch.load_file(path)
    for engine in ("openvino", "torch"):
        assert scores(folder, engine) == pytest.approx(expected, abs=1e-5)
    assert resift.load(folder, precision="f32", engine="torch").score(PAIRS).values == pytest.approx(
        reference(folder), abs=1e-4
    )
    path.unlink()
    torch.save({older[n]: t for n, t in tensors.items()}, folder / "pytorch_model.bin")
    assert scores(folder) == pytest.approx(expected, abs=1e-5)


def with_words(folder: Path, *words: str, special: bool = False) -> Path:
    """Add words to a folder's tokenizer, and leave the weights as they are."""
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    first = max(value["model"]["vocab"].values()) + 1
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    value["added_tokens"] += [{"id": first + i, "content": word, **plain} for i, word in enumerate(words)]
    path.write_text(json.dumps(value))
    return folder


@pytest.mark.parametrize("engine", ["auto", "openvino", "torch", "native"])
def test_words_without_embeddings(folder: Path, engine: str) -> None:
    with_words(folder, "impure", "turbid")
    for change in ({}, {"vocab_size": 30_000}):  # a config that promises more than the weights hold
        edited(folder, **change)
        with pytest.raises(BrokenModel, match=r"the weights have \d+ tokens: 'impure', 'turbid' was added"):
            resift.load(folder, engine=engine)  # type: ignore[arg-type]
    assert any("'impure'" in f.message for f in examine(str(folder)) if f.status == "fail")


def test_special_words_without_embeddings_are_never_met(folder: Path) -> None:
    before = scores(folder)
    assert scores(with_words(folder, "<extra>", special=True)) == before


def test_a_marker_without_an_embedding(tmp_path: Path) -> None:
    whole = pylate(tmp_path / "m", query_prefix="[Query] ")
    with pytest.raises(BrokenModel, match=r"'\[Query\] ' was added to the tokenizer"):
        resift.load(with_words(whole, "[Query] ", special=True))


def test_an_embedder_with_words_without_embeddings(tmp_path: Path) -> None:
    whole = sentence_transformer(tmp_path / "m")
    with_words(next(whole.rglob("tokenizer.json")).parent, "impure")
    with pytest.raises(BrokenModel, match="'impure' was added to the tokenizer"):
        load_embedder(str(whole))


def test_a_padding_id_that_is_null(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "m", "xlm-roberta")
    with pytest.raises(BrokenModel, match="pad_token_id null, and the positions of xlm-roberta are counted from it"):
        resift.load(edited(folder, pad_token_id=None))
    other = cross_encoder(tmp_path / "bert", "bert")
    assert scores(edited(other, pad_token_id=None)) == pytest.approx(scores(edited(other, pad_token_id=0)))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("vocab_size", "105"), ("type_vocab_size", [2]), ("max_position_embeddings", "long"), ("pad_token_id", "0"),
        ("num_hidden_layers", 1.5), ("hidden_size", True), ("layer_norm_eps", None), ("hidden_act", 3),
        ("model_type", ["bert"]), ("architectures", "BertForSequenceClassification"), ("architectures", [None]),
        ("id2label", ["a"]), ("rope_parameters", [1]), ("position_embedding_type", {}),
    ],
)  # fmt: skip
def test_config_values_of_another_kind(folder: Path, entry: str, value: object) -> None:
    with pytest.raises(BrokenModel, match=rf"config\.json has {entry} .*, which must be "):
        resift.load(edited(folder, **{entry: value}))


def test_limits_of_another_kind(folder: Path) -> None:
    with pytest.raises(BrokenModel, match=r'tokenizer_config\.json has model_max_length "64", which must be a whole'):
        resift.load(retold(folder, model_max_length="64"))
    assert resift.load(retold(folder, model_max_length=1e30)).scorer.contract.max_tokens == 64
    assert resift.load(retold(folder, model_max_length=float("inf"))).scorer.contract.max_tokens == 64
