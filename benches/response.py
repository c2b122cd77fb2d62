"""The frequency responses of all contenders on one plot."""

from pathlib import Path

from benches import quality
from benches.contenders import OURS, Contender


def draw(contenders: list[Contender], path: Path) -> None:
    """Write a picture of what each lets through from 8 to 24 kHz."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5.5), layout="constrained")
    axes.set_prop_cycle(color=plt.colormaps["tab20"].colors)
    for contender in contenders:
        frequencies, levels = quality.response(contender)
        ours = contender is OURS
        axes.plot(
            frequencies / 1000,
            levels,
            label=contender.name,
            linewidth=2.2 if ours else 0.8,
            color="black" if ours else None,
            zorder=3 if ours else 2,
        )
    axes.axvspan(3.4, 4.6, color="0.93", zorder=0)
    axes.set(xlim=(0, 12), ylim=(-125, 5), xlabel="kHz", ylabel="dB", title="From 8 to 24 kHz, in frames of 20 ms")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(path, dpi=110, metadata={"Software": None})
