"""Inputs: files and the lines of a batch, each read up to a limit (docs/formats.md, "What is read")."""

import hashlib

from bundle import BUNDLE_MAX_BYTES
from forms import Refused
from notes import NOTE_MAX_BYTES, PROOF_HEAD_MAX_BYTES

TRUST_MAX_BYTES = NOTE_MAX_BYTES
PROOF_MAX_BYTES = PROOF_HEAD_MAX_BYTES + NOTE_MAX_BYTES
# Approval documents, and answers of the API.
DOCUMENT_MAX_BYTES = 1 << 20
# The largest bundle in base64, and what a question says beside it.
LINE_MAX_BYTES = (BUNDLE_MAX_BYTES + 2) // 3 * 4 + (1 << 20)
_BLOCK_BYTES = 1 << 20


def read_at_most(path, most):
    """The first `most` bytes of a file, or all of it where it has fewer.

    Raises OSError.
    """
    data = bytearray()
    with open(path, "rb") as file:
        while len(data) < most and (block := file.read(min(_BLOCK_BYTES, most - len(data)))):
            data += block
    return bytes(data)


def read_file(path, most):
    """A whole file of at most `most` bytes.

    Raises Refused TOO_LARGE, and OSError.
    """
    data = read_at_most(path, most + 1)
    if len(data) > most:
        raise Refused("TOO_LARGE", f"{path} is over the limit of {most} bytes")
    return data


def digest_of_file(path):
    """The digest of a file, of which no more than a block is held at a time.

    Raises OSError.
    """
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def lines(stream, most=LINE_MAX_BYTES):
    """The lines of a stream of bytes, ends and all; None for each that has more than `most` bytes before its end.

    Only LF ends a line. What is too long is read over and never held.
    """
    while line := stream.readline(most + 1):
        if len(line) <= most or line.endswith(b"\n"):
            yield line
        else:
            del line
            while (rest := stream.readline(_BLOCK_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield None
