"""Shell: the certificates we show CSMSs (security profile 3): orders about them, what is shown at a dial, what a dial says about them, their end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from controller.config import Config, UpstreamConfig
from controller.facts import OwnCertificateInstalled, OwnCertificateSeen, SigningRequestMade, SourceChanged
from controller.io.endings import Endings
from controller.io.links.signing import SigningError
from controller.io.links.wallet import Shows, Wallet
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep, spawn
from controller.orders import DialUpstream, InstallOwnCertificate, MakeSigningRequest, Order

STOP_S = 0.5
ENDED = "the CSMS that it is shown to lets us in no more"


class OurCertificates:
    """Owned by the upstream shell. Files are read and written in a thread, one thing at a time."""

    def __init__(self, config: Config, clock: Clock, submit: Submit) -> None:
        self._upstreams = {upstream.id: upstream for upstream in config.upstreams if upstream.certificate is not None}
        self._clock, self._submit = clock, submit
        self._wallet = Wallet(config.data_dir)
        self._turn = asyncio.Lock()
        self._shown: dict[str, Path] = {}
        self._last: dict[tuple[str, str], Shows] = {}
        self._endings = Endings(self._shown, clock, submit, ENDED)
        self._tasks: set[asyncio.Task[None]] = set()
        self._working: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Watch the calendar."""
        if self._upstreams:
            self._tasks.add(keep(self._endings.watch, "certificates towards CSMSs"))

    async def stop(self) -> None:
        """Files that are being written get a moment; they are whole at any time."""
        if self._working:
            await asyncio.wait(self._working, timeout=STOP_S)
        await end(self._tasks | self._working)
        self._tasks.clear()

    # -- dialling ---------------------------------------------------------------------------------------

    async def context(self, upstream: UpstreamConfig, identity: str) -> ssl.SSLContext:
        """What a dial shows. Raises CertificateError or OSError."""
        wall_s = self._clock.stamp().wall_s
        async with self._turn:
            shows = await asyncio.to_thread(self._wallet.shows, upstream, identity, wall_s)
        if shows.path is not None:
            self._shown[f"{upstream.id} ({identity})"] = shows.path
        self._last[upstream.id, identity] = shows
        if upstream.certificate is not None and upstream.certificate.renewal == "csms":
            self._seen(upstream, identity, shows.fresh)
        return shows.context

    def _seen(self, upstream: UpstreamConfig, identity: str, fresh: bool) -> None:
        shows = self._last[upstream.id, identity]
        self._submit(OwnCertificateSeen(self._clock.stamp(), upstream.id, identity, shows.ends_wall_s, fresh, shows.lasts_s))

    async def let_in(self, order: DialUpstream) -> None:
        """The CSMS has opened the door to this dial."""
        upstream = self._upstreams.get(order.upstream_id)
        if upstream is None:
            return
        async with self._turn:
            renewed = await asyncio.to_thread(self._wallet.opened, upstream, order.station_id)
        if renewed:
            self._seen(upstream, order.station_id, False)  # a connection may live longer than the certificate: it is watched from now on
            self._tell(upstream, True, f"the new certificate of {order.station_id} is in force")

    async def kept_out(self, order: DialUpstream, reason: str) -> None:
        """It has not, and our certificate may be why."""
        upstream = self._upstreams.get(order.upstream_id)
        if upstream is None:
            return
        async with self._turn:
            given_up = await asyncio.to_thread(self._wallet.refused, upstream, order.station_id)
        if given_up:
            self._tell(upstream, False, f"the CSMS refuses the new certificate of {order.station_id} ({reason}) - the one before is used")

    def _tell(self, upstream: UpstreamConfig, healthy: bool, detail: str) -> None:
        self._submit(SourceChanged(self._clock.stamp(), f"certificate for {upstream.id}", healthy, detail))

    # -- signing ------------------------------------------------------------------------------------------

    def carry(self, order: Order) -> None:
        """MakeSigningRequest, InstallOwnCertificate."""
        match order:
            case MakeSigningRequest():
                self._begin(self._request(order), order.identity)
            case InstallOwnCertificate():
                self._begin(self._install(order), order.identity)

    def _begin(self, work: Coroutine[Any, Any, None], identity: str) -> None:
        task = spawn(work, f"certificate of {identity}")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _request(self, order: MakeSigningRequest) -> None:
        csr, reason = "", ""
        try:
            async with self._turn:
                csr = await asyncio.to_thread(self._wallet.request, order)
        except (SigningError, OSError) as error:
            reason = str(error)
        self._submit(SigningRequestMade(self._clock.stamp(), order.upstream_id, order.identity, order.number, csr, reason))

    async def _install(self, order: InstallOwnCertificate) -> None:
        wall_s, name = self._clock.stamp().wall_s, (order.upstream_id, order.identity, order.number)
        try:
            async with self._turn:
                valid = await asyncio.to_thread(self._wallet.install, order, wall_s)
        except (SigningError, OSError) as error:
            self._submit(OwnCertificateInstalled(self._clock.stamp(), *name, False, str(error)))
            return
        self._submit(OwnCertificateInstalled(self._clock.stamp(), *name, True, "", valid.starts_wall_s))
