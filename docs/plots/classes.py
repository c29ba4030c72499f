"""RNA classes as the language model sees them: t-SNE of one vector per RNA, testdata/rna_classes.fa.gz.

rnaret-embed --format npy -o embeddings.npy testdata/rna_classes.fa.gz
zcat testdata/rna_classes.fa.gz | awk '/^>/ { print $2 }' > classes.txt
zcat testdata/rna_classes.fa.gz | awk '!/^>/' > sequences.txt
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.manifold import TSNE
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

embeddings = np.load("embeddings.npy")
ids = pd.read_table("embeddings.npy.ids.tsv")
classes = pd.read_table("classes.txt", header=None)[0]
assert len(embeddings) == len(ids) == len(classes)

vectors = StandardScaler().fit_transform(embeddings)
nearest = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
accuracy = cross_val_score(nearest, embeddings, classes, cv=5).mean()
words = CountVectorizer(analyzer="char", ngram_range=(3, 3)).fit_transform(open("sequences.txt")).toarray()
plain = cross_val_score(nearest, words, classes, cv=5).mean()
places = TSNE(perplexity=20, init="pca", random_state=0).fit_transform(vectors)

figure, axes = plt.subplots(figsize=(6.4, 4.4))
for number, name in enumerate(sorted(set(classes))):
    chosen = (classes == name).to_numpy()
    axes.scatter(*places[chosen].T, s=14, color=plt.cm.tab20(number), label=name)
axes.set(xlabel="t-SNE 1", ylabel="t-SNE 2", xticks=[], yticks=[], title=f"{len(ids)} RNAs; five nearest neighbours name {accuracy:.0%} of the classes")
axes.legend(fontsize=7, bbox_to_anchor=(1, 1), frameon=False)
figure.savefig("classes.png", dpi=100, bbox_inches="tight", metadata={"Software": None})
print(f"accuracy of five nearest neighbours, 5-fold: {accuracy:.3f} (counts of 3-mers: {plain:.3f}, guessing: {1 / classes.nunique():.3f})")
