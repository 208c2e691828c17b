"""Encoders that the reference libraries lack, written from their papers in plain torch, apart from the code under test.

Each saves a tiny checkpoint in its authors' layout and gives its logits.
"""
