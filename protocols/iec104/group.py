"""The links of one master, a redundancy group: any number connected, at most one started. Pure."""

from __future__ import annotations

from protocols.iec104.session import Close, Effect, Released, Session, SetClock, Started, Stopped, Submit
from protocols.iec104.station import Station


class Group:
    """Moves events between the station's queue and whichever link is started."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.sessions: list[Session] = []
        self.active: Session | None = None

    @property
    def full(self) -> bool:
        """This master holds as many links as it may."""
        return len(self.sessions) >= self.station.plan.links

    def join(self, session: Session) -> None:
        """A link was accepted."""
        self.sessions.append(session)

    def apply(self, session: Session, effects: list[Effect], now: float) -> list[Submit | SetClock | Close]:
        """Act on what concerns the group; the rest, in order, is for the shell."""
        rest: list[Submit | SetClock | Close] = []
        for effect in effects:
            if isinstance(effect, Started):
                self._start(session, now)
            elif isinstance(effect, Stopped):
                self._end(session)
            elif isinstance(effect, Released):
                if session is self.active:
                    self.station.queue.release(effect.events)
            else:
                rest.append(effect)
        return rest

    def leave(self, session: Session) -> None:
        """The link is gone: what it had not acknowledged is offered to the next one."""
        session.stop()
        self._end(session)
        if session in self.sessions:
            self.sessions.remove(session)

    def _start(self, session: Session, now: float) -> None:
        if self.active is not None and self.active is not session:
            self.active.displace()
            self.station.queue.rewind()
        self.active = session
        self.station.start_cycles(now)
        self.station.link_started()
        session.announce()

    def _end(self, session: Session) -> None:
        if session is self.active:
            self.active = None
            self.station.queue.rewind()
            self.station.stop_cycles()
