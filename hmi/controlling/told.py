"""The broker's word on what a person asked for, as the page gets it."""

from __future__ import annotations

from gateway.contracts.command import Action, Outcome, Stage
from gateway.points.model import NO_ROW
from hmi.access.person import Person
from hmi.desk import Desk
from hmi.endpoint import Answer


class Told(Answer):
    """`done`: it was completed. `words`: what became of it, for a person."""

    done: bool
    stage: str
    reason: str
    text: str
    words: str


def told(outcome: Outcome) -> Told:
    """An outcome in words."""
    done = outcome.stage is Stage.COMPLETED
    why = outcome.text or ("" if done else outcome.reason.value)
    return Told(
        done=done,
        stage=outcome.stage.value,
        reason="" if done else outcome.reason.value,
        text=outcome.text,
        words=f"{outcome.stage.value}{': ' if why else ''}{why}",
    )


async def ordered(
    desk: Desk,
    person: Person,
    action: Action,
    *,
    row: int = NO_ROW,
    value: float = 0.0,
    subject: str = "",
    text: str = "",
) -> Told:
    """Command, and the broker's last word."""
    return told(await desk.command(person, action, row=row, value=value, subject=subject, text=text))
