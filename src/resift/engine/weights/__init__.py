"""Weights as they lie on disk: safetensors, PyTorch archives, ONNX files."""
