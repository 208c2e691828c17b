"""TEI's names for the server's measurements."""

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from resift import Reranker
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from tests.serve.dialects.bodies import DOCUMENTS, QUERY


def test_requests_are_counted_under_tei_s_names(mini: Reranker) -> None:
    with TestClient(create_app([ServedModel.of(mini)])) as http:
        for _ in range(2):
            assert http.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS}).status_code == 200
        assert http.post("/rerank", json={"query": "", "texts": DOCUMENTS}).status_code == 422
        assert http.get("/health").status_code == 200
        text = http.get("/tei/metrics").text
    pairs = mini.score([(QUERY, d) for d in DOCUMENTS])
    tokens = sum(judgement.tokens for judgement in pairs.judgements)
    families = {f.name: f.samples for f in text_string_to_metric_families(text)}
    samples_by_name = {(s.name, *s.labels.values()): s.value for samples in families.values() for s in samples}
    assert samples_by_name["te_request_count", "batch"] == 3
    assert samples_by_name["te_request_success", "batch"] == 2
    assert samples_by_name["te_request_failure", "validation"] == 1
    assert samples_by_name["te_request_duration_count",] == samples_by_name["te_request_duration_bucket", "+Inf"] == 3
    assert samples_by_name["te_queue_size",] == 0
    assert samples_by_name["te_batch_next_size_count",] >= 2
    assert samples_by_name["te_request_input_length_count",] == 2 * len(DOCUMENTS)
    assert samples_by_name["te_request_input_length_sum",] == 2 * tokens
    assert samples_by_name["te_batch_next_tokens_count",] == samples_by_name["te_batch_next_size_count",]
