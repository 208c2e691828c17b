"""One file per wire format: it reads a body into a request of `resift.serve.service` and writes the answer back."""
