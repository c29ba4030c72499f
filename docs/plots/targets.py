"""miRNA targets: known pairs beside negative ones, and the sites along a 3'UTR.

rnaret-mirtarget --pairs testdata/mirna_pairs.tsv > pairs.tsv
rnaret-mirtarget --mirna testdata/mirnas.fa testdata/rnas.fa.gz > sites.tsv
cut -f 5 testdata/mirna_pairs.tsv > labels.tsv
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.metrics import roc_auc_score

pairs = pd.read_table("pairs.tsv").assign(label=pd.read_table("labels.tsv").label)  # one row each, in order
sites = pd.read_table("sites.tsv").query("target == 'FASLG_3UTR'")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=[1, 2])
for label, colour in [(0, "tab:grey"), (1, "tab:red")]:
    scores = pairs[pairs.label == label].probability
    left.scatter([label + (i % 5 - 2) / 20 for i in range(len(scores))], scores, color=colour, s=18)
left.set(xticks=[0, 1], xticklabels=["no target", "target"], xlim=(-0.5, 1.5), ylabel="probability", title="16 pairs")
right.vlines((sites.start + sites.end) / 2, 0, sites.probability, color="tab:red")
for site in sites.itertuples():
    right.text((site.start + site.end) / 2, site.probability + 0.02, f"{site.mirna[4:]}\n{site.seed_type}", fontsize=7, ha="center")
right.set(xlim=(0, 856), ylim=(0, 1.25), xlabel="position", title="sites in the 3'UTR of FASLG")
figure.tight_layout()
figure.savefig("targets.png", dpi=100, metadata={"Software": None})
print(f"AUC of the {len(pairs)} pairs: {roc_auc_score(pairs.label, pairs.probability):.3f}")
