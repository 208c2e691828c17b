"""What runs requests: models, queue, workers and the driver of stages."""
