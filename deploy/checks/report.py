"""What a run of the checks found: problems as sentences, and the figures of its last line."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Report:
    """`root` is the checkout, `terraform` the command for Terraform; `record` renews what is recorded."""

    root: Path
    terraform: str
    record: bool = False
    problems: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """The folder for copies and tools, below .local."""
        return self.root / ".local" / "checks"

    def line(self, text: str) -> None:
        """Print what was found out."""
        print(f"  {text}", flush=True)

    def problem(self, text: str) -> None:
        """Print and keep a sentence about what does not hold."""
        self.problems.append(text)
        self.line(f"FAILED {text}")

    def count(self, **figures: int) -> None:
        """Keep figures for the last line."""
        self.figures.update(figures)
