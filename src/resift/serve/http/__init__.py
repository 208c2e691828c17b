"""Everything of HTTP that is no wire format: admission, error responses, operators' routes, logs."""
