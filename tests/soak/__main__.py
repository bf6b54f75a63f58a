"""``python -m tests.soak --minutes 60 --seed 7 --report DIR``: exits 1, and says what, when the books do not agree."""

from __future__ import annotations

import argparse
import pickle
import random
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.soak import compare, growth, report, site
from tests.soak.run import Outcome, run

OUTCOME: Final = "outcome.pickle"
COMMAND: Final = "command"


def soak(
    folder: Path,
    kept: Path,
    seed: int,
    minutes: float,
    *,
    points: int = 10_000,
    changes_per_s: float = 2_000.0,
    commands_per_s: float = 5.0,
    trouble: bool = True,
    tell: Callable[[str], None] = lambda text: None,
    command: str = "",
    only: Sequence[str] = (),
) -> tuple[Outcome, list[str], Path]:
    """Run, compare and report; what was seen, what did not hold, and the page in `kept`."""
    plan = site.plan(folder, seed, minutes * 60.0, points, changes_per_s, commands_per_s)
    outcome = run(plan, trouble, tell, only)
    (folder / OUTCOME).write_bytes(pickle.dumps(outcome))
    (folder / COMMAND).write_text(command)
    found, page = judge(folder, kept, outcome, tell, command)
    return outcome, found, page


def judge(
    folder: Path, kept: Path, outcome: Outcome, tell: Callable[[str], None], command: str
) -> tuple[list[str], Path]:
    """Lay the books side by side; what did not hold, and the page in `kept`."""
    tell("comparing the books")
    verdict = compare.compare(outcome)
    found = [*verdict.findings, *growth.findings(outcome.samples)]
    page = report.write(kept, outcome, verdict, found, command)
    for name in ("gateway.log", "site.yaml", "plan.json", "alarms.jsonl"):
        shutil.copy(folder / name, kept / name)
    return found, page


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0, help="of all chance; 0: drawn, and printed")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--changes", type=float, default=2_000.0, help="a second, in all")
    parser.add_argument("--commands", type=float, default=5.0, help="a second, of all commanders")
    parser.add_argument("--report", type=Path, default=Path("var/soak"))
    parser.add_argument("--folder", type=Path, help="where everything is written, and left; a temporary one by default")
    parser.add_argument("--again", action="store_true", help="judge once more what an earlier run left in the folder")
    parser.add_argument("--no-trouble", action="store_true", help="no faults")
    parser.add_argument("--only", action="append", default=[], help="faults of this kind, for example 'kill core'")
    chosen = parser.parse_args()
    if chosen.again and not chosen.folder:
        parser.error("--again needs the --folder of the earlier run")
    seed = chosen.seed or random.SystemRandom().randrange(1, 1_000_000)
    tell = partial(print, file=sys.stderr, flush=True)
    tell(f"seed {seed}")
    command = shlex.join(["python", "-m", "tests.soak", *sys.argv[1:]]) + ("" if chosen.seed else f" --seed {seed}")
    with tempfile.TemporaryDirectory(prefix="gridgate-soak-") as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.again:
            outcome: Outcome = pickle.loads((folder / OUTCOME).read_bytes())
            found, page = judge(folder, chosen.report, outcome, tell, (folder / COMMAND).read_text())
        else:
            _, found, page = soak(
                folder, chosen.report, seed, chosen.minutes, points=chosen.points, changes_per_s=chosen.changes,
                commands_per_s=chosen.commands, trouble=not chosen.no_trouble, tell=tell, command=command,
                only=chosen.only,
            )  # fmt: skip
    print(page.read_text())
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
