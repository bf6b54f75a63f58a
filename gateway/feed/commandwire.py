"""Commands and outcomes as JSON objects on the feed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.contracts.command import Action, Command, Origin, Outcome, Pulse, Reason, Stage
from gateway.feed.frames import FeedError


def command_to(command: Command) -> dict[str, Any]:
    """A command as a JSON object; the value goes as a hexadecimal float, so that NaN and infinity survive."""
    return asdict(command) | {"value": command.value.hex()}


def command_from(content: dict[str, Any]) -> Command:
    """Read a command; `FeedError` when a field is missing or of the wrong type."""
    try:
        return Command(
            id=int(content["id"]),
            row=int(content["row"]),
            value=float.fromhex(content["value"]),
            action=Action(content["action"]),
            origin=Origin(**{key: str(value)[:128] for key, value in content["origin"].items()}),
            deadline_ns=int(content["deadline_ns"]),
            pulse=Pulse(content["pulse"]),
            received_ns=int(content["received_ns"]),
            test=bool(content["test"]),
            refusal=Reason(content.get("refusal", Reason.OK)),
            refusal_text=str(content.get("refusal_text", ""))[:500],
            subject=str(content.get("subject", ""))[:300],
            text=str(content.get("text", ""))[:500],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FeedError(f"not a command: {error}") from None


def outcome_to(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a JSON object."""
    return asdict(outcome)


def outcome_from(content: dict[str, Any]) -> Outcome:
    """Read an outcome; `FeedError` when a field is missing or of the wrong type."""
    try:
        return Outcome(
            id=int(content["id"]),
            stage=Stage(content["stage"]),
            reason=Reason(content["reason"]),
            text=str(content["text"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FeedError(f"not an outcome: {error}") from None
