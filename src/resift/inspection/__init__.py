"""A model looked at from outside: does it keep its promises, how fast is it, how is it exported."""
