"""What the adversarial examples of a report are: outcomes, and the picture that shows them."""

EXAMPLES_FILE = "adversarial_examples.png"
"""A lossless picture with a row for each example, in the order of the report."""
EXAMPLE_COLUMNS = ("clean", "change", "adversarial")
"""The tiles of a row. The change is middle gray where there is none, and black or white where it is
as large as the radius: a value v from 0 to 255 stands for radius * (v / 127.5 - 1)."""
OUTCOMES = {
    "both_hold": "Both hold",
    "network_falls": "The network falls, the reference holds",
    "reference_falls": "The reference falls, the network holds",
    "both_fall": "Both fall",
}
"""By name, the titles of what an attack made for the network does. A network holds where it
classifies the adversarial image correctly."""
OUTCOMES_WITHOUT_REFERENCE = {
    "network_holds": "The network holds",
    "network_falls": "The network falls",
}
