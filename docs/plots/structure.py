"""Structures: probabilities of base pairs, and the predicted structure beside the known one, for tRNA-Phe.

rnaret-fold --format bpseq --pairs pairs.tsv testdata/structures/tRNA-Phe.fa > predicted.bpseq
(tRNA-Phe.fa: the first record of testdata/rnas.fa.gz)
"""

import sys

import matplotlib.pyplot as plt
import pandas as pd


def pairs_of(path):
    table = pd.read_table(path, sep=r"\s+", names=["i", "base", "j"], comment="#")
    return {(row.i, row.j) for row in table.itertuples() if row.i < row.j}


known, predicted = pairs_of(sys.argv[1]), pairs_of("predicted.bpseq")
probable = pd.read_table("pairs.tsv")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=[1, 1.6])
points = left.scatter(probable.j, probable.i, c=probable.probability, s=10, cmap="viridis", vmin=0, vmax=1, marker="s")
left.scatter(*zip(*[(i, j) for i, j in known]), c="tab:red", s=10, marker="s", label="known")
left.set(xlim=(0, 77), ylim=(77, 0), aspect="equal", xlabel="position", ylabel="position")
left.legend(fontsize=7, loc="lower right")
figure.colorbar(points, ax=left, shrink=0.7, label="probability")
for side, pairs in [(1, predicted), (-1, known)]:
    for i, j in pairs:
        colour = "tab:green" if (i, j) in known & predicted else "tab:orange"
        right.add_patch(plt.matplotlib.patches.Arc(((i + j) / 2, 0), j - i, side * (j - i), theta1=0, theta2=180, color=colour))
right.set(xlim=(0, 77), ylim=(-40, 40), yticks=[], xlabel="position", title="predicted above, known below; green: in both")
figure.tight_layout()
figure.savefig("structure.png", dpi=100, metadata={"Software": None})
print(f"{len(known & predicted)} of {len(known)} known pairs found, {len(predicted - known)} others")
