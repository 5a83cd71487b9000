"""Adversarial examples as a figure, and the picture that it is made of."""

import base64
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.figures.drawing import GREEN, ORANGE, new_figure
from core.figures.networks import NETWORK_STYLES, decode_png

MAX_EXAMPLES = 12
COLUMNS = 3
MAX_CLASS_NAME_LENGTH = 14
UNKNOWN = "not finite"


def examples(result: dict[str, Any], class_names: Sequence[str] = ()) -> Figure:
    """The first twelve images: clean, their change, adversarial, with every prediction."""
    entries = result["examples"][:MAX_EXAMPLES]
    rows = -(-len(entries) // COLUMNS)
    figure, panels = new_figure(COLUMNS, rows, width=2.9 * COLUMNS, height=1.75 * rows + 0.35)
    figure.suptitle(
        f"PGD-{result['steps']} made for the network, {result['threat_model']}: "
        "clean, change, adversarial",
        fontsize=10,
    )
    picture = decode_png(result["png_picture"])
    width = result["picture"]["tile_width"]
    height = result["picture"]["tile_height"]
    for row, (axes, example) in enumerate(zip(panels, entries, strict=False)):
        strip = picture[row * height : (row + 1) * height]
        _draw_strip(axes, strip, width)
        _label(axes, example, class_names)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    for axes in panels[len(entries) :]:
        axes.set_axis_off()
    return figure


def decode_picture(result: dict[str, Any]) -> bytes:
    """Return the picture's file."""
    return base64.b64decode(result["png_picture"])


def _draw_strip(axes: Axes, strip: Any, width: int) -> None:
    """Draw the tiles of one row of the picture beside each other, with gaps between them."""
    height, full_width = strip.shape[:2]
    step = 1.08 * width
    tiles = full_width // width
    for number in range(tiles):
        tile = strip[:, number * width : (number + 1) * width]
        extent = (number * step, number * step + width, height, 0)
        axes.imshow(tile, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
    axes.set(xlim=(0, (tiles - 1) * step + width), ylim=(height, 0))


def _label(axes: Axes, example: dict[str, Any], class_names: Sequence[str]) -> None:
    """Write the predictions, in a frame that is green where the network holds."""
    holds = example["network"]["attacked"]["prediction"] == example["label"]
    axes.set_title(f"label {_name(example['label'], class_names)}", fontsize=9)
    lines = [
        f"{title}: {_predictions(example[name], class_names)}"
        for name, (title, _) in NETWORK_STYLES.items()
        if name in example
    ]
    axes.set_xlabel("\n".join(lines), fontsize=7.5)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(GREEN if holds else ORANGE)
        spine.set_linewidth(2)


def _predictions(prediction: dict[str, Any], class_names: Sequence[str]) -> str:
    """Return what a network predicts before and under the attack: 4 (48 %) → 5 (39 %)."""
    texts = []
    for kind in ("clean", "attacked"):
        predicted = prediction[kind]["prediction"]
        if predicted is None:
            texts.append(UNKNOWN)
            continue
        share = 100 * prediction[kind]["probability"]
        texts.append(f"{_name(predicted, class_names)} ({share:.0f} %)")
    return " → ".join(texts)


def _name(label: int, class_names: Sequence[str]) -> str:
    return class_names[label][:MAX_CLASS_NAME_LENGTH] if class_names else str(label)
