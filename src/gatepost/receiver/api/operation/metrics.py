"""Serve ``/metrics`` to Prometheus: from the networks of ``metrics_networks``, or with a viewer's token.

Without a token only where it is asked for under an IP address or localhost: a browser on this machine that was given
another name for it reads nothing.
"""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from gatepost.receiver.api.access.authorization import OPEN, AnyoneRequest, Needed, TheAccess
from gatepost.receiver.api.shapes import read
from gatepost.receiver.http.console_access import is_own_address
from gatepost.receiver.observability.prometheus import CONTENT_TYPE, Metrics
from gatepost.receiver.terminals.networks import Networks

__all__ = ["MetricsController"]

TheMetrics = NamedDependency[SkipValidation[Metrics]]
TheMetricsNetworks = NamedDependency[SkipValidation[Networks]]


class MetricsController(Controller):
    opt = OPEN
    tags = ("health",)

    @get("/metrics", sync_to_thread=True, summary="Numbers for Prometheus", include_in_schema=False)
    def metrics(
        self,
        request: AnyoneRequest,
        access: TheAccess,
        metrics: TheMetrics,
        metrics_networks: TheMetricsNetworks,
    ) -> Response[bytes]:
        # Whom a proxy speaks for that nobody trusts cannot be told by its address.
        direct = access.direct(request)
        trusted = (
            is_own_address(request.headers.get("host", "")) and access.address(request) in metrics_networks
        )
        if not direct or not trusted:
            access.require(request, Needed("viewer", every_site=True))
        return Response(read(metrics.text), media_type=CONTENT_TYPE)
