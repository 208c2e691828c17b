"""The server that the clients meet: resift-mini-en on the port given; says the URL when it answers."""

import sys

import uvicorn

from resift.serve.app import create_app
from resift.serve.runtime.served_models import load_models

uvicorn.run(create_app(load_models()), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
