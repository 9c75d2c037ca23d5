"""Videos: billed by the second, which no answer reports. A request for the status of a video is not a call."""

from __future__ import annotations

from token_meter.providers.api import Api

VIDEOS = Api(
    "videos", paths=("v1/videos", "v1/videos/edits", "v1/videos/extensions", "v1/videos/{}/remix"), is_metered=False
)
