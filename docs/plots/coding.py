"""Coding regions: probability of every base, windows, and the annotated CDS.

rnaret-coding --summary potential.tsv --track track.bedgraph testdata/rnas.fa.gz > windows.bed
"""

import matplotlib.pyplot as plt
import pandas as pd

track = pd.read_table("track.bedgraph", names=["id", "start", "end", "probability"])
windows = pd.read_table("windows.bed", usecols=range(4), names=["id", "start", "end", "name"])
potential = pd.read_table("potential.tsv", index_col="id")
annotated = {"HBE1": (253, 697)}  # testdata/README.md

shown = ["HBE1", "GAS5"]
figure, panels = plt.subplots(len(shown), figsize=(8, 3.6), sharex=True)
for axes, name in zip(panels, shown):
    part = track[track.id == name]
    axes.fill_between(part.start, part.probability, step="post", color="tab:blue", alpha=0.5)
    for window in windows[windows.id == name].itertuples():
        axes.hlines(1.08, window.start, window.end, color="tab:blue", linewidth=4)
    if name in annotated:
        axes.hlines(1.2, *annotated[name], color="tab:red", linewidth=4)
    row = potential.loc[name]
    axes.set(ylim=(0, 1.3), ylabel="P(coding)", title=f"{name}: {row.label}, coding potential {row.coding_potential:.2f}")
panels[-1].set(xlabel="position (blue bar: window found, red bar: annotated CDS)")
figure.tight_layout()
figure.savefig("coding.png", dpi=100, metadata={"Software": None})
print(windows.to_string(index=False))
