"""What the histories have found: lines for people as they end, and the one JSON object at the end."""

import json
import time
from dataclasses import dataclass, field

MAX_RECOVERY_SECONDS = 75.0
MAX_WORKER_MB = 700.0
MAX_LOOP_BLOCK_MS = 50.0
MIN_HOSTILE_INPUTS = 60


@dataclass
class Report:
    """Counts and maxima over all histories."""

    accepted: int = 0
    completed: int = 0
    failed_wrongly: int = 0
    lost: int = 0
    doubled: int = 0
    recovery_s_max: float = 0.0
    hostile_inputs: int = 0
    stopped_others: int = 0
    worker_peak_mb: float = 0.0
    scratch_ratio_max: float = 0.0
    loop_block_ms_max: float = 0.0
    read_p99_ms_under_overload: float = 0.0
    leaks: int = 0
    began: float = field(default_factory=time.monotonic, repr=False)

    def say(self, history: str, text: str) -> None:
        """Print a line of one history."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {history}: {text}", flush=True)

    def recovered(self, seconds: float) -> None:
        """Note how long work waited after its dependency was back, or after its worker was killed."""
        self.recovery_s_max = max(self.recovery_s_max, seconds)

    def stop_other(self, history: str, what: str) -> None:
        """Count somebody who had to wait or got no answer because of somebody else."""
        self.stopped_others += 1
        self.say(history, f"STOPPED OTHERS: {what}")

    def leak(self, history: str, what: str) -> None:
        """Count something that was shown to whom it is none of their business."""
        self.leaks += 1
        self.say(history, f"LEAK: {what}")

    def broken(self, *, complete: bool = True) -> list[str]:
        """Return what does not hold; only a `complete` run must have made enough hostile inputs."""
        zero = ("failed_wrongly", "lost", "doubled", "stopped_others", "leaks")
        broken = [f"{name} is {getattr(self, name)}, not 0" for name in zero if getattr(self, name)]
        bounds = (
            ("recovery_s_max", MAX_RECOVERY_SECONDS),
            ("worker_peak_mb", MAX_WORKER_MB),
            ("loop_block_ms_max", MAX_LOOP_BLOCK_MS),
        )
        broken += [
            f"{name} is {getattr(self, name):.1f}, over {bound:.0f}"
            for name, bound in bounds
            if getattr(self, name) > bound
        ]
        if complete and self.hostile_inputs < MIN_HOSTILE_INPUTS:
            broken.append(f"hostile_inputs is {self.hostile_inputs}, under {MIN_HOSTILE_INPUTS}")
        return broken

    def to_json(self) -> str:
        """Return the last line."""
        values = {name: value for name, value in vars(self).items() if name != "began"}
        return json.dumps(
            {name: round(value, 1) if isinstance(value, float) else value for name, value in values.items()}
        )
