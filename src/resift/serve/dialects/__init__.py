"""One file per wire format: it makes a request of `resift.serve.service` of a body, and a response of the answer."""
