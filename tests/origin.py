"""Files of clips without what differs only by where and how their recordings were read."""

from __future__ import annotations

import json
from collections.abc import Mapping


def without_origin(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, each dataset.json without the place, the format and the options of its recordings."""
    found = dict(files)
    for name in files:
        if name.rpartition("/")[2] == "dataset.json":
            description = json.loads(files[name])
            description["report"].pop("made_from", None)
            found[name] = json.dumps(description).encode()
    return found
