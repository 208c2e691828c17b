"""Rows 22 to 45 of the known failures of rerankers: which tests show each."""

from pathlib import Path

from tests.test_failure_modes import functions

SERVER, CLIENT, FAILOVER = "serve/test_server.py::", "serve/dialects/test_client.py::", "serve/test_failover.py::"
PROCESS, OUR_FORMAT = "serve/test_process.py::", "serve/test_resift_dialect.py::"
ROWS = {
    22: (
        SERVER + "test_a_poison_document_fails_alone",
        SERVER + "test_a_slice_that_hangs_is_left_behind",
        FAILOVER + "test_exactly_the_bad_items_fail",
    ),
    23: (
        SERVER + "test_out_of_memory_means_smaller_slices",
        "serve/test_admission.py::test_bodies_share_the_memory_under_the_limit",
    ),
    24: (
        SERVER + "test_an_error_keeps_its_name_and_the_text_stays_out_of_the_log",
        FAILOVER + "test_a_broken_model_is_not_asked_item_by_item",
    ),
    25: (SERVER + "test_64_clients_get_the_scores_of_the_offline_engine",),
    26: (SERVER + "test_health_answers_under_full_load",),
    27: (
        SERVER + "test_a_burst_is_refused_at_once_and_told_when_to_come_again",
        SERVER + "test_under_overload_a_request_may_shrink",
        "serve/test_queue.py::test_refused_clients_are_told_to_come_one_after_the_other",
        "serve/dialects/test_scale.py::test_overload_is_429_with_retry_after_everywhere",
    ),
    28: (
        CLIENT + "test_what_passes_is_tried_again_whole",
        CLIENT + "test_retries_end",
        FAILOVER + "test_a_breaker_opens_rests_and_lets_one_try",
        SERVER + "test_a_broken_model_is_left_alone_and_the_next_one_asked",
    ),
    29: (SERVER + "test_the_work_of_a_client_that_left_is_dropped",),
    30: (SERVER + "test_a_deadline_gives_the_best_order_so_far",),
    31: (SERVER + "test_ready_only_after_real_work",),
    32: (SERVER + "test_an_idle_model_is_still_there",),  # no model is ever unloaded
    33: (SERVER + "test_a_model_is_loaded_once",),
    34: (SERVER + "test_an_embedder_does_not_rerank", "score/test_refusals.py::test_an_embedding_model"),
    35: (
        PROCESS + "test_what_cannot_be_used_is_refused_at_the_start",
        "score/test_refusals.py::test_a_hub_id_without_a_network",
    ),
    36: (
        SERVER + "test_models_are_named_with_the_hash_of_their_files",
        "score/test_cache.py::test_models_precisions_and_policies_do_not_share_scores",
    ),
    37: (
        CLIENT + "test_a_refusal_is_no_result_and_not_tried_again",
        CLIENT + "test_an_answer_without_results_is_an_error",
    ),
    38: (CLIENT + "test_bad_entries_cost_no_document", CLIENT + "test_scores_are_finite"),
    39: (CLIENT + "test_all_documents_are_asked_for",),
    40: (CLIENT + "test_bad_entries_cost_no_document", SERVER + "test_keep_order_keeps_everything_and_scores_nothing"),
    41: (
        SERVER + "test_a_broken_model_is_left_alone_and_the_next_one_asked",
        SERVER + "test_keep_order_keeps_everything_and_scores_nothing",
    ),
    # Resift asks no language model itself; a server that is asked may have one behind it.
    42: (CLIENT + "test_an_answer_without_results_is_an_error", CLIENT + "test_bad_entries_cost_no_document"),
    43: (CLIENT + "test_the_address_may_end_in_v1_or_not", CLIENT + "test_an_address_must_be_one"),
    44: (CLIENT + "test_the_server_s_words_go_to_the_log_alone", SERVER + "test_errors_carry_what_clients_read"),
    45: (OUR_FORMAT + "test_more_results_are_the_same_pool_read_on",),
}


def test_every_row_has_its_tests() -> None:
    here = Path(__file__).parent.parent
    for name in [name for names in ROWS.values() for name in names]:
        path, _, function = name.partition("::")
        assert function in functions(here / path), name
    assert set(ROWS) == set(range(22, 46))
