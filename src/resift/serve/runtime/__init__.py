"""Runs requests: the models, the queue, the workers, and the driver of stages."""
