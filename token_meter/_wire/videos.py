"""Videos: billed by the second, and no answer says what was billed; a look at one under way is no call."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour

VIDEOS = Flavour(
    "videos",
    # Other services take uploads at a path that ends in `videos`: theirs are none of ours.
    paths=("v1/videos", "v1/videos/edits", "v1/videos/extensions", "v1/videos/{}/remix"),
    metered=False,
)
