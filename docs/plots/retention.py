"""What each base of an RNA retains of every other: the paper's retention scores, for tRNA-Phe.

rnaret-embed --retention map tRNA-Phe.fa > retention.tsv
"""

import matplotlib.pyplot as plt
import pandas as pd

scores = pd.read_table("retention.tsv").pivot(index="position", columns="other_position", values="score")

figure, axes = plt.subplots(figsize=(4.2, 3.6))
image = axes.imshow(scores, cmap="RdBu_r", vmin=-scores.abs().max().max(), vmax=scores.abs().max().max())
axes.set(xlabel="other position", ylabel="position")
figure.colorbar(image, label="retention score")
figure.savefig("retention.png", dpi=100, bbox_inches="tight", metadata={"Software": None})
print(f"{scores.shape[0]} x {scores.shape[1]} scores, {scores.min().min():.3g} to {scores.max().max():.3g}")
