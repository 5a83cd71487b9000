"""How far an evaluation with AutoAttack is: what a checkpoint needs to resume it."""

from dataclasses import asdict, dataclass, field

from core.distillation.evaluation.masks import share_of_ones, text_to_mask
from core.distillation.evaluation.steps import MeasureState, resume_state


@dataclass
class State:
    """Masks over all images are strings of 0 and 1, one character an image."""

    robust: str = ""
    """Images that are robust so far. During the clean pass: correct ones of those classified."""
    entrants: str = ""
    """Images that were robust when the current stage began: its batches are taken from these."""
    stage: int = -1
    """Index of the current stage; -1 is the clean pass."""
    batch: int = 0
    """Index of the next batch of the stage."""
    clean: float | None = None
    """Clean accuracy."""
    seconds: float = 0.0
    """Time spent on the current stage."""
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    """Results of the completed stages, by name."""
    non_finite: list[int] = field(default_factory=list)
    """Indices of images for which the network gave logits that are not finite."""

    @classmethod
    def from_json(cls, stored: MeasureState | None) -> "State":
        fields = dict(resume_state(stored, **cls().to_json()))
        return cls(robust=fields.pop("standing"), entrants=fields.pop("before"), **fields)

    def to_json(self) -> MeasureState:
        """Return a copy as JSON. In checkpoints the two masks are ``standing`` and ``before``."""
        fields = asdict(self)
        return {"standing": fields.pop("robust"), "before": fields.pop("entrants"), **fields}

    def finish_clean_pass(self) -> None:
        self.clean = share_of_ones(self.robust)
        self.stage = 0
        self.entrants = self.robust

    def finish_stage(self, index: int, name: str) -> None:
        """Record the stage's result, and let the images that are still robust enter the next."""
        robust = int(text_to_mask(self.robust).sum())
        entrants = int(text_to_mask(self.entrants).sum())
        self.stages[name] = {
            "standing": share_of_ones(self.robust),
            "broken": entrants - robust,
            "seconds": round(self.seconds, 3),
        }
        self.stage = index + 1
        self.batch = 0
        self.seconds = 0.0
        self.entrants = self.robust
