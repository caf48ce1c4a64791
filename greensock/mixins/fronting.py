"""Where worker processes are seen, and told what to do, as one: their desk."""

from contextlib import contextmanager
from typing import Any

from .. import events
from ..net import native
from ..net.addresses import url_of
from ..net.listeners import note_listening
from ..supervision.control import Control, ControlSocket
from ..supervision.desk import Desk
from ..supervision.sites import open_site
from ..supervision.upgrade import inheritance
from .sharing import Sharing


class Fronting(Sharing):
    """Opens what the desk serves on, and has it served there."""

    control_path: str | None = None
    status_address: str | None = None

    _gs_control: ControlSocket | None = None
    _gs_site: Any = None  # where a status server listens

    @property
    def status_url(self) -> str | None:
        """Where a browser finds the status page; None while there is none."""
        return None if self._gs_site is None else url_of(self._gs_site.getsockname())

    def _gs_open_front(self):
        self._gs_open_control()
        try:
            self._gs_open_site()
        except OSError as error:
            why = f"cannot serve the status at {self.status_address}: {error.strerror}"
            raise OSError(error.errno, f"{why}; choose another status_address") from None

    def _gs_open_control(self):
        if self.control_path is not None and self._gs_control is None:
            self._gs_control = ControlSocket(self.control_path, later=self._gs_succeeds)

    def _gs_open_site(self):
        if self.status_address is not None and self._gs_site is None:
            fds = inheritance.take(self._gs_site_name)
            self._gs_site = native.Socket(fileno=fds[0]) if fds else open_site(self.status_address)
            note_listening(self._gs_site)

    def _gs_close_front(self):
        control, self._gs_control = self._gs_control, None
        site, self._gs_site = self._gs_site, None
        for each in control, site:
            if each is not None:
                each.close()

    @property
    def _gs_site_name(self):
        return f"{self._gs_name}, status at {self.status_address}"

    def _gs_bequest(self):
        bequest = super()._gs_bequest()
        if self._gs_site is not None:
            bequest[self._gs_site_name] = [self._gs_site.fileno()]
        return bequest

    def _gs_note_ready(self):
        if self._gs_control is not None:
            self._gs_control.take_place()
        super()._gs_note_ready()
        inheritance.note_ready(self._gs_site_name)

    def _gs_counters(self):
        """What there is to do at the desk; see Desk."""
        counters: list[Any] = []
        if self._gs_control is not None:
            counters.append(Control)
        if self._gs_site is not None:
            counters.append(self._gs_serve_status)
        return counters

    @contextmanager
    def _gs_serve_status(self, desk):
        from ..status.team import TeamStatus  # it needs more than workers shall be burdened with

        with TeamStatus(self._gs_site, desk) as status:
            status.start()
            yield

    def _gs_work_at_desk(self, slot, worker):
        try:
            desk = Desk(self, self._gs_team, worker, self._gs_counters())
            self._gs_loop.leave_to(slot)
            return desk.live()
        except BaseException as error:
            events.emit(events.WorkerFailed, self, None, error)
            return 1
