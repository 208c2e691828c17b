"""What every client script uses: the server's address, texts, and one line of JSON per call that was tried.

Standard library only: it runs inside the clients' own environments, where there is no Resift.
"""

import json
import os
import sys
import traceback
from importlib.metadata import version

B = os.environ["RESIFT_URL"]
QUERY = "Where is the Eiffel Tower?"
DOCUMENTS = [
    "Bananas are rich in potassium.",
    "The Eiffel Tower stands in Paris, France. It is 330 metres high.",
    "Rome is the capital of Italy.",
    "The Louvre is a museum in Paris.",
]
ORDER = json.loads(os.environ["RESIFT_ORDER"])  # best first, as the library ranks them offline
SCORES = json.loads(os.environ["RESIFT_SCORES"])  # of the documents in their own order, 0 to 1


def check(package, how):
    """A decorator that runs it now; it returns the indices that the client saw, best first, and any scores."""

    def run(call):
        line = {"client": package, "version": version(package), "call": how, "works": False, "said": ""}
        try:
            indices, scores = call()
            assert list(indices) == ORDER[: len(indices)], f"order {list(indices)}, not {ORDER}"
            assert indices, "nothing came back"
            for i, score in zip(indices, scores or [], strict=False):
                assert abs(score - SCORES[i]) < 0.01, f"score {score} of document {i}, not {SCORES[i]}"
            line["works"] = True
        except Exception as error:  # noqa: BLE001 - whatever a client does is what is reported
            line["said"] = f"{type(error).__name__}: {error}"[:300]
            traceback.print_exc()
        print(json.dumps(line), flush=True)
        return call

    return run


def where(texts):
    """Positions of texts in DOCUMENTS."""
    return [DOCUMENTS.index(t) for t in texts]


def refused(call, *kinds):
    """The client must say so in one of its own error types when the server refuses."""
    try:
        call()
    except kinds:
        return
    raise AssertionError("no error was raised")


sys.stdout.reconfigure(line_buffering=True)
