"""A web service over many Redis servers: it counts page views, and limits how often each client may ask.

To try it, on private servers of its own: uvicorn --app-dir examples web_service:app

    curl -X POST localhost:8000/pages/home      {"home": 1}
    curl 'localhost:8000/pages?page=home'       {"home": 1}
    curl localhost:8000/health                  {"north": "closed", "south": "closed", "west": "closed"}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nydus.db import create_async_cluster
from nydus_core import HostError, Outcome
from nydus_core.command import outcome_of

SETTINGS = {"engine": "embedded", "router": "slots", "hosts": {"north": {}, "south": {}, "west": {}}}


def create_app(settings: Mapping[str, Any], *, seconds: float = 0.5, limit: int = 100) -> Starlette:
    """Make the service. Each request has so many seconds, and each client so many requests a minute."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with create_async_cluster(settings) as app.state.cluster:
            yield

    app = Starlette(
        routes=[
            Route("/pages/{page}", count_view, methods=["POST"]),
            Route("/pages", show_views),
            Route("/health", show_health),
        ],
        middleware=[Middleware(Deadline, seconds=seconds)],
        exception_handlers={HostError: say_unavailable},
        lifespan=lifespan,
    )
    app.state.seconds, app.state.limit = seconds, limit
    return app


class Deadline:
    """Gives each request a time, which all its commands share."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the lifespan: there is no cluster yet
            await self.app(scope, receive, send)
            return
        with scope["app"].state.cluster.deadline(self.seconds):
            await self.app(scope, receive, send)


async def count_view(request: Request) -> Response:
    """Count a view of a page."""
    if await is_too_busy(request):
        return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": "60"})
    page = request.path_params["page"]
    return JSONResponse({page: await request.app.state.cluster.incr(f"views:{page}")})


async def is_too_busy(request: Request) -> bool:
    """Count a request of a client; tell whether the client asks too often. While counting fails, nobody does."""
    cluster, key = request.app.state.cluster, f"requests:{request.client.host if request.client else ''}"
    with cluster.deadline(request.app.state.seconds / 4):  # the rest of the time is for the request itself
        async with cluster.map(fail_silently=True, transaction=True) as conn:
            conn.set(key, 0, ex=60, nx=True)  # the minute begins
            requests = conn.incr(key)
    return requests.error is None and requests > request.app.state.limit


async def show_views(request: Request) -> Response:
    """Tell how often some pages were viewed; on all of their hosts at once."""
    pages = request.query_params.getlist("page")
    views = await request.app.state.cluster.mget([f"views:{page}" for page in pages])
    return JSONResponse({page: int(count or 0) for page, count in zip(pages, views, strict=True)})


async def show_health(request: Request) -> Response:
    """Tell which hosts are up, without asking them. The service is well as long as one of them is."""
    states = {name: host.state.value for name, host in request.app.state.cluster.health().items()}
    return JSONResponse(states, 200 if "closed" in states.values() else 503)


async def say_unavailable(request: Request, error: Exception) -> Response:
    """Say that a host is down, or did not answer in time; add "later" if the request may be sent again.

    A view that may have been counted must not be sent again, because it could count twice.
    """
    outcome = outcome_of(error)
    again = outcome is Outcome.NOT_SENT or request.method == "GET"
    return JSONResponse({"error": outcome.value}, 503, {"Retry-After": "1"} if again else None)


app = create_app(SETTINGS)
