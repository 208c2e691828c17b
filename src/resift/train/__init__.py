"""From examples to model folders: what is learned stays in a folder that is loaded, explained, served and compared."""
