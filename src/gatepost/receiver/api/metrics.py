"""``/metrics``: for Prometheus, from the networks of ``metrics_networks``, or with a viewer's token."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from gatepost.receiver.api.authorization import OPEN, TheAccess
from gatepost.receiver.api.shapes import read
from gatepost.receiver.observability.prometheus import CONTENT_TYPE, Metrics
from gatepost.receiver.terminals.identify import Networks

__all__ = ["MetricsController"]

TheMetrics = NamedDependency[SkipValidation[Metrics]]
TheMetricsNetworks = NamedDependency[SkipValidation[Networks]]


class MetricsController(Controller):
    opt = OPEN
    tags = ("health",)

    @get("/metrics", sync_to_thread=True, summary="Numbers for Prometheus", include_in_schema=False)
    def metrics(
        self,
        request: Request[Any, Any, Any],
        access: TheAccess,
        metrics: TheMetrics,
        metrics_networks: TheMetricsNetworks,
    ) -> Response[bytes]:
        # Whom a proxy speaks for that nobody trusts cannot be told by its address.
        direct = access.direct(request)
        if not direct or access.address(request) not in metrics_networks:
            access.require(request, "viewer")
        return Response(read(metrics.text), media_type=CONTENT_TYPE)
