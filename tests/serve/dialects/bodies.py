"""The texts that these tests send; the second answers."""

QUERY = "Where is the Eiffel Tower?"
DOCUMENTS = [
    "Bananas are rich in potassium.",
    "The Eiffel Tower stands in Paris, France. It is 330 metres high.",
    "Rome is the capital of Italy.",
]
