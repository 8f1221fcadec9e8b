"""Tell whether the model that answered is the one that was asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

ANY_MODEL: Mapping[str, str] = {"*": "*"}
"""For servers whose names say nothing: what was asked is a deployment's or a file's name."""

MOVING = "-latest"
"""End of names that stand for the newest of a family: the answer names which it is."""

EDITION = re.compile(r"[-@:](v?\d[\w.:-]*|latest|preview|exp|experimental|beta|stable)([-@:][\w.:-]*)?")
"""What providers add to the name that was asked: a date, a version, a stage. `-mini` is another model."""


def is_served(asked: str, answered: object, served_as: Mapping[str, str]) -> bool:
    """Return whether a reply that calls its model `answered` is from the model `asked`.

    A reply without a name is taken on trust. Case and vendor prefixes (`openai/`) do not count.

    Args:
        asked: the name in the request.
        answered: the name in the reply.
        served_as: the names under which a gateway answers, by the names asked, both with `*` for any text.
    """
    if not isinstance(answered, str) or not answered.strip():
        return True
    agreed = served_as.get(asked, served_as.get("*"))
    if agreed is not None and fnmatchcase(answered, agreed):
        return True
    wanted, given = _bare(asked), _bare(answered)
    # `name:free` asks a router for a tariff, and the reply may leave it out.
    if given in (wanted, wanted.partition(":")[0]):
        return True
    stem = wanted.removesuffix(MOVING)
    return given.startswith(stem) and EDITION.fullmatch(given[len(stem) :]) is not None


def _bare(name: str) -> str:
    return name.strip().rpartition("/")[2].casefold()
