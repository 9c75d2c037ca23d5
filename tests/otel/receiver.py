"""A collector on loopback: it takes OTLP over HTTP, and adds up what it was sent."""

from __future__ import annotations

import gzip
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality


class Receiver:
    """`received[path]` has every export in order."""

    def __init__(self) -> None:
        self.received: dict[str, list[ExportMetricsServiceRequest]] = defaultdict(list)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.received[self.path].append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def points(self, path: str) -> dict[str, dict[frozenset[tuple[str, Any]], float]]:
        """What a backend knows in the end, by metric and attributes: deltas added up, the last of each cumulative sum."""
        series: dict[tuple[Any, ...], float] = defaultdict(float)
        for export in self.received[path]:
            for resource in export.resource_metrics:
                origin = _plain(resource.resource.attributes)
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        is_delta = (
                            metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
                        )
                        for point in metric.sum.data_points:
                            value = point.as_double if point.HasField("as_double") else point.as_int
                            key = (metric.name, origin, _plain(scope.scope.attributes), _plain(point.attributes))
                            series[key] = series[key] + value if is_delta else value
                            assert value >= 0, key
        found: dict[str, dict[frozenset[tuple[str, Any]], float]] = defaultdict(lambda: defaultdict(float))
        for (name, _, _, attributes), value in series.items():
            found[name][attributes] += value
        return found

    def totals(self, path: str) -> dict[str, float]:
        """The sum of each metric."""
        return {name: sum(points.values()) for name, points in self.points(path).items()}


def _plain(attributes: Any) -> frozenset[tuple[str, Any]]:
    return frozenset((a.key, getattr(a.value, a.value.WhichOneof("value"))) for a in attributes)
