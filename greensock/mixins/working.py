"""A server becomes that of a worker process."""

from functools import lru_cache
from time import monotonic
from typing import Any

from .. import events
from ..net import handover
from ..supervision.attendance import Attendance
from ..supervision.hatch import Taking
from .base import ModelMixIn
from .fronting import Fronting
from .greenlets import GreenletMixIn
from .threads import ThreadingMixIn

_MODELS = {"greenlet": GreenletMixIn, "thread": ThreadingMixIn}


class Working(Fronting):
    """What happens in a worker: everything, once it was forked, but for its signals and words."""

    worker_model = "greenlet"
    worker_index: int | None = None

    _gs_attendance: Attendance | None = None

    def _gs_work(self, slot, worker):
        """All of a worker's life, and the status it exits with."""
        try:
            counts = self._gs_site is not None
            self._gs_become_worker(slot, worker)
            self._gs_attendance = Attendance(self, worker, counts)
            return self._gs_attendance.live()
        except BaseException as error:
            events.emit(events.WorkerFailed, self, slot.index, error)
            return 1

    def _gs_become_worker(self, slot, worker):
        self._gs_loop.leave_to(slot)
        self._gs_close_front()
        self._gs_team = self._gs_loop = self._gs_crew = None  # other threads may have locked it
        if isinstance(slot.listener, Taking):
            self._gs_take_from(slot.listener, worker.card)
        self.socket = slot.listener
        cls: Any = type(self)
        self.__class__ = _worker_class(cls, self.worker_model)
        self.model = next(_models_of(type(self)))
        if not slot.has_own_queue:
            self._gs_requests_per_turn = 1  # leave some to the others
        self._gs_was_served = self._gs_stop_on_start = False
        self._gs_beginning = None
        self._gs_context_from = None  # certificates may have changed since
        self.worker_index = slot.index

    def _gs_take_from(self, taking, card):
        taking.card = card
        listener: Any = self.socket
        if handover.is_tls(listener):
            self.ssl_context, self.implicit_tls = listener.context, True
        listener.close()

    # What the supervisor has this worker do, and an application would ask of all of them.

    def _gs_drain_worker(self, *seconds):
        super().drain(*seconds)

    def _gs_cut_worker(self):
        if self._gs_is_draining:
            self._gs_drain_ends = monotonic()  # nobody is given any more time
        super().drain(0)

    def _gs_suspend_worker(self, how):
        super().suspend(release=how == "release")

    def _gs_resume_worker(self):
        super().resume()

    def _gs_join_crew(self, job):
        super()._gs_join_crew(job)
        if self._gs_attendance is not None:
            self._gs_attendance.note_joined(len(self._gs_crew or ()))

    def _gs_leave_crew(self, job):
        super()._gs_leave_crew(job)
        if self._gs_attendance is not None:
            self._gs_attendance.note_left(len(self._gs_crew or ()))

    def _gs_loop_opened(self, loop):
        if loop.hub is not None:
            super()._gs_loop_opened(loop)
            if self._gs_attendance is not None and loop.serving:
                self._gs_attendance.note_ready()

    def _gs_keep_newcomers_out(self):
        if self._gs_attendance is not None:
            return self._gs_attendance.newcomers_are_out
        return super()._gs_keep_newcomers_out()


def _models_of(cls):
    """The models that it has beside this one, the one that counts first."""
    for base in cls.__mro__:
        model = vars(base).get("model")
        if issubclass(base, ModelMixIn) and model not in (None, "prefork"):
            yield model


@lru_cache
def _worker_class(cls, model):
    """``cls`` with a model for its workers, unless it has one of its own."""
    if any(_models_of(cls)):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    # After all that comes before the mixin, and what that overrides.
    return type(cls.__name__, (cls, _MODELS[model]), names)
