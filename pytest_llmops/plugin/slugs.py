"""Turn case ids into text that is safe in a node id: case ids are data, and data may be hostile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from pytest_llmops.store.canonical import digest_text

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 60
_SUFFIX = 6


def case_slugs(ids: Sequence[str]) -> list[str]:
    """Return one slug an id, all different; ids that are safe already stay as they are."""
    plain = [_UNSAFE.sub("-", case_id).strip("-")[:_LONGEST] for case_id in ids]
    often = Counter(plain)
    return [
        slug if slug == case_id and often[slug] == 1 else _marked(slug, case_id)
        for slug, case_id in zip(plain, ids, strict=True)
    ]


def _marked(slug: str, case_id: str) -> str:
    suffix = digest_text(case_id)[:_SUFFIX]
    return f"{slug}-{suffix}" if slug else suffix
