"""Encoders as OpenVINO graphs, built from a checkpoint's own config and tensors: no torch, no export.

graph.py is the door; builder.py holds the layers that several architectures share; then one file per architecture.
"""
