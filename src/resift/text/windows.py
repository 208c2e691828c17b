"""Overlapping windows over a token sequence that is longer than a model reads."""


def windows(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open ranges of at most `size` that cover 0..length, neighbours sharing at least `overlap`.

    The ranges are of nearly equal length, so that no short rest is judged on a few words.

    Raises:
        ValueError: size is not larger than overlap.

    """
    if size <= overlap:
        raise ValueError(f"windows of {size} tokens can't overlap by {overlap}")
    if length <= size:
        return [(0, length)]
    count = 1 + -(-(length - size) // (size - overlap))
    last = length - size
    starts = [round(i * last / (count - 1)) for i in range(count)]
    return [(s, s + size) for s in starts]
