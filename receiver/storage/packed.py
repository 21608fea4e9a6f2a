"""Bodies as they are kept: large ones compressed, for alerts of one group are much alike. Of 100 of them a fortieth is left.

To write fewer bytes, and to sync them, takes less than to compress them: intake, store and backups gain by it.
"""

import zlib

SMALL = 2048
"""Bytes that are kept as they came."""

MARK = b"\x78\x01"
"""How zlib begins at its lowest level; no JSON does, and what was refused and does is compressed, too."""


def packed(body: bytes) -> bytes:
    if len(body) < SMALL and not body.startswith(MARK):
        return body
    return zlib.compress(body, level=1)


def unpacked(kept: bytes) -> bytes:
    """As it was sent. It may be a thousand times as large."""
    if not kept.startswith(MARK):
        return kept
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(kept)
    except zlib.error:
        return kept  # none of ours
    return body if stream.eof and not stream.unused_data else kept
