"""What stands between the network and a request: admission, errors, health, logs."""
