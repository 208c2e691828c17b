"""What a model folder is: its contract, its files, where it comes from."""
