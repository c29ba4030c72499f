"""RNA language-model tools: structures, coding regions, miRNA target sites, embeddings and predictions.

Each function runs one of the command-line tools that come with this package and reads what it writes. RNAs are a FASTA or
FASTQ file (a path, compressed or not), a mapping from ids to sequences, or pairs of id and sequence. Every option of a tool
is a keyword: ``threads=4`` is ``--threads 4``, ``energy=True`` is ``--energy``, and a list repeats the option.
"""

from ._functions import Embeddings, coding, embed, fold, mirtarget, predict
from ._tools import RnaretError, run

__all__ = ["Embeddings", "RnaretError", "coding", "embed", "fold", "mirtarget", "predict", "run"]
