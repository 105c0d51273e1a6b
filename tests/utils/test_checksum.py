"""Checksums of bytes and of JSON."""

from __future__ import annotations

import hashlib
import json

import pytest

from basicsr.utils.checksum import checksum, checksum_of_parts, with_checksum, without_checksum


def test_a_checksum_is_blake2b_of_16_bytes_however_the_data_are_cut():
    data = bytes(range(256)) * 5
    assert checksum(data) == hashlib.blake2b(data, digest_size=16).hexdigest()
    assert checksum_of_parts([data[:100], b"", data[100:]]) == checksum(data)


@pytest.mark.parametrize("content", [{}, {"a": 1, "b": {"c": [1.5, None, "é"]}}])
def test_content_comes_back_from_json_in_any_order(content: dict):
    sealed = json.loads(json.dumps(with_checksum(content)))
    assert without_checksum(sealed) == without_checksum(dict(reversed(sealed.items()))) == content
    assert without_checksum(content) == content, "one without a checksum is taken as it is"


def test_changed_content_is_noticed():
    for change in ({"a": 2}, {"b": 0}, {"checksum": "0" * 32}):
        with pytest.raises(ValueError, match="does not match its checksum"):
            without_checksum(with_checksum({"a": 1}) | change)
