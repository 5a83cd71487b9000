"""What results say: measures, and intervals of accuracies."""

from distill_client.responses.base import ResponseModel


class Measure(ResponseModel):
    """What a result's key says: the measure, the attack's settings and the threat model."""

    key: str
    name: str
    """The attack (pgd, cw, autoattack), clean, or the number of an analysis."""
    title: str
    """For people: "AutoAttack, L∞, 8/255"."""
    label: str
    """The title without the threat model."""
    unit: str
    """Of the value times `scale`."""
    scale: float
    accuracy: bool
    """Whether it is a share of all images, in [0, 1]."""
    norm: str | None = None
    """linf or l2; None without an attack."""
    radius: float | None = None
    """On pixels in [0, 1]; in L2, of the whole image."""
    steps: int | None = None
    """Of PGD or CW."""
    version: str | None = None
    """Of AutoAttack "standard", or what differs from it; of PGD and CW the settings that are not
    the usual ones."""
    run: int = 1
    """2 for the second of two equal attacks of a job."""

    @property
    def heading(self) -> str:
        """Title and unit: PGD-20, L∞, 8/255 %."""
        return f"{self.title} {self.unit}".rstrip()

    @property
    def is_test_robustness(self) -> bool:
        """Whether it is the accuracy on the test images under an attack of the spec."""
        return self.name in ("pgd", "cw", "autoattack") and self.norm is not None


class Interval(ResponseModel):
    """The 95 % interval of an accuracy, with the images as a sample."""

    low: float
    high: float
    images: int
