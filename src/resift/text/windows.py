"""Overlapping windows over token sequences that are longer than the window of a model."""


def windows(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open ranges of at most `size` that cover 0..length, neighbours sharing at least `overlap`.

    Neighbours start at nearly equal distances, and all ranges are of one size: no short rest is scored by a few words.

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


def strides(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open ranges of `size` that cover 0..length at a fixed stride; the last one may be shorter.

    BCEmbedding's `rerank` cuts so; see `windows` for ranges of one size.

    Raises:
        ValueError: size is not larger than overlap.

    """
    if size <= overlap:
        raise ValueError(f"windows of {size} tokens can't overlap by {overlap}")
    starts = range(0, max(1, length - overlap), size - overlap)
    return [(s, min(s + size, length)) for s in starts]
