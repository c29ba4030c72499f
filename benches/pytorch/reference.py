#!/usr/bin/env python3
"""A PyTorch counterpart of the model, for comparison only.

It computes what the published model computes in the way the published code computes it: retention through the whole L x L
matrix, the fold head on the whole L x L x 2d tensor, miRNA-target pairs in batches padded to one length. So its results
are a second opinion on ours, and its times are the ones that ours are measured against.

    reference.py --check ../../testdata/golden      compares with the reference vectors; exit status 1 if any differs
    reference.py backbone 512 2048 8192             forward pass of the full-size backbone at these lengths
    reference.py fold 400                           fold head (128 channels, 16 blocks) at these lengths, backbone not included
    reference.py mirtarget 64                       miRNA-target pairs at these batch sizes (40 nt targets); seconds per batch

Times go to standard output as TSV: what, size, seconds (the least of --runs), peak_rss_bytes (of the process so far: ask for
one size per process where memory matters). Needs torch and numpy.
"""

import argparse
import json
import math
import pathlib
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FILLER, UNKNOWN, SEPARATOR, FIRST_KMER = 1, 2, 3, 6
LETTERS = "AUCG"
TOLERANCE = 2e-4


def tokenize(sequence, k):
    """L bases become L token ids: k-mers, with (k-1)/2 fillers at both ends."""
    sequence = sequence.upper().replace("T", "U")
    flank = (k - 1) // 2
    tokens = [FILLER] * min(flank, len(sequence))
    for start in range(len(sequence) - k + 1):
        digits = [LETTERS.find(letter) for letter in sequence[start : start + k]]
        if -1 in digits:
            tokens.append(UNKNOWN)
        else:
            tokens.append(FIRST_KMER + sum(d * 4 ** (k - 1 - i) for i, d in enumerate(digits)))
    return tokens + [FILLER] * (len(sequence) - len(tokens))


class RmsNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Retention(nn.Module):
    """Bidirectional multi-head retention, the quadratic form."""

    def __init__(self, width, value_width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, value_width, bias=False)
        self.g_proj = nn.Linear(width, value_width, bias=False)
        self.out_proj = nn.Linear(value_width, width, bias=False)
        self.keep_matrix = False
        self.matrix = None

    def split(self, x):
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x, cosine, sine, decay):
        q, k, v = self.split(self.q_proj(x)), self.split(self.k_proj(x)), self.split(self.v_proj(x))
        k = k * k.shape[-1] ** -0.5
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        scores = (q @ k.transpose(-1, -2)) * decay
        scores = scores / scores.sum(-1, keepdim=True).abs().clamp(min=1)
        if self.keep_matrix:
            self.matrix = scores
        out = scores @ v
        out = out * torch.rsqrt(out.square().mean(-1, keepdim=True) + 1e-6)
        out = out.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1)
        return self.out_proj(F.silu(self.g_proj(x)) * out)


def rotate(x, cosine, sine):
    quarter_turn = torch.stack((-x[..., 1::2], x[..., 0::2]), -1).flatten(-2)
    return x * cosine + quarter_turn * sine


class GatedFeedForward(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.fc1 = nn.Linear(width, inner, bias=False)
        self.fc2 = nn.Linear(inner, width, bias=False)
        self.gate = nn.Linear(width, inner, bias=False)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)) * self.gate(x))


class Layer(nn.Module):
    def __init__(self, width, value_width, inner, heads):
        super().__init__()
        self.retention_layer_norm = RmsNorm(width)
        self.retention = Retention(width, value_width, heads)
        self.final_layer_norm = RmsNorm(width)
        self.ffn = GatedFeedForward(width, inner)

    def forward(self, x, cosine, sine, decay):
        x = x + self.retention(self.retention_layer_norm(x), cosine, sine, decay)
        return x + self.ffn(self.final_layer_norm(x))


class Backbone(nn.Module):
    def __init__(self, vocabulary, width=384, value_width=512, inner=512, layers=8, heads=4):
        super().__init__()
        self.width, self.heads = width, heads
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width, value_width, inner, heads) for _ in range(layers))
        self.layer_norm = RmsNorm(width)
        self.output_projection = nn.Linear(width, vocabulary, bias=False)

    def positions(self, length):
        """Rotation (cosine, sine: length x key_dim) and decay (heads x length x length), shared by all layers."""
        half = self.width // self.heads // 2
        angles = (10000.0 ** -torch.linspace(0, 1, half)).repeat_interleave(2)
        place = torch.arange(length, dtype=torch.float32)
        phase = place[:, None] * angles
        log_gamma = (1 - 2.0 ** -(5 + torch.arange(self.heads, dtype=torch.float32))).log()
        distance = (place[:, None] - place[None, :]).abs()
        decay = torch.nan_to_num(torch.exp(distance * log_gamma[:, None, None]))
        decay = decay / decay.sum(-1, keepdim=True).sqrt()
        return phase.cos(), phase.sin(), decay

    def forward(self, tokens):
        """batch x length token ids -> batch x length x width, before the final norm."""
        cosine, sine, decay = self.positions(tokens.shape[1])
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, cosine, sine, decay)
        return x

    def logits(self, features):
        return self.output_projection(self.layer_norm(features))


class ResidualBlock(nn.Module):
    def __init__(self, convolution, channels, kernel):
        super().__init__()
        self.conv_net = nn.Sequential(
            convolution(channels, channels, 1), nn.ReLU(),
            convolution(channels, channels, kernel, padding=kernel // 2), nn.ReLU(),
            convolution(channels, channels, 1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv_net(x)


class Blocks(nn.Module):
    def __init__(self, convolution, channels, kernel, count):
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(convolution, channels, kernel) for _ in range(count)))

    def forward(self, x):
        return self.blocks(x)


class FoldHead(nn.Module):
    def __init__(self, width=384, channels=128, blocks=16):
        super().__init__()
        self.linear_in = nn.Linear(2 * width, channels)
        self.resnet = Blocks(nn.Conv2d, channels, 3, blocks)
        self.conv_out = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, features):
        """length x width -> length x length pair logits. Row i, column j holds the features of i, then of j."""
        length, width = features.shape
        rows = features[:, None, :].expand(length, length, width)
        columns = features[None, :, :].expand(length, length, width)
        x = self.linear_in(torch.cat((rows, columns), -1))
        return self.conv_out(self.resnet(x.permute(2, 0, 1)[None]))[0, 0]


class CodingHead(nn.Module):
    def __init__(self, width=384, channels=128, blocks=16):
        super().__init__()
        self.linear_in = nn.Linear(width, channels)
        self.resnet = Blocks(nn.Conv1d, channels, 7, blocks)
        self.conv_out = nn.Conv1d(channels, 1, 3, padding=1)

    def forward(self, features, skip_blocks):
        x = self.linear_in(features).T[None]
        return self.conv_out(x if skip_blocks else self.resnet(x))[0, 0]


def mirtarget_head(width=384):
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))


def pair_tokens(mirna, target, k):
    return [SEPARATOR, *tokenize(mirna, k), SEPARATOR, *tokenize(target, k)]


# ---------------------------------------------------------------------------------------------------------- the check


def load(backbone, head, path):
    """Fills the modules from a published state dict; a name that is left over on either side is an error."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {name: tensor for name, tensor in state.items() if "retnet_rel_pos." not in name}
    if head is None:
        backbone.load_state_dict(state)
        return
    backbone.load_state_dict({name[4:]: t for name, t in state.items() if name.startswith("ret.")})
    head.load_state_dict({name[11:]: t for name, t in state.items() if name.startswith("classifier.")})


def check(folder):
    folder = pathlib.Path(folder)
    worst, count = 0.0, 0

    def compare(label, ours, reference):
        nonlocal worst, count
        ours, reference = np.asarray(ours, dtype=np.float64), np.asarray(reference, dtype=np.float64)
        if ours.shape != reference.shape:
            sys.exit(f"{label}: shape {ours.shape}, expected {reference.shape}")
        difference = np.abs(ours - reference).max() / np.abs(reference).max()
        worst, count = max(worst, difference), count + 1
        if not difference <= TOLERANCE:
            sys.exit(f"{label}: relative difference {difference:.2e} is over {TOLERANCE:.0e}")

    for model in json.loads((folder / "manifest.json").read_text()):
        k, config, heads = model["k"], model["config"], model["heads"]
        width = config["embed_dim"]
        backbone = Backbone(
            config["vocab_size"], width, config["value_dim"], config["ffn_dim"], config["layers"], config["heads"]
        )
        load(backbone, None, folder / model["weights"])
        for record in model["backbone"]:
            vectors, name = np.load(folder / record["file"]), record["file"]
            ids = tokenize(record["seq"], k)
            if ids != vectors["tokens"].tolist():
                sys.exit(f"{name}: tokens differ")
            tokens = torch.tensor(ids)[None]
            last = backbone.layers[-1].retention
            last.keep_matrix = True
            features = backbone(tokens)
            mean = last.matrix[0].mean(0)
            compare(f"{name} features", features[0], vectors["features"])
            first = backbone.layers[0](backbone.embed_tokens(tokens), *backbone.positions(len(ids)))
            compare(f"{name} hidden_layer1", first[0], vectors["hidden_layer1"])
            compare(f"{name} logits", backbone.logits(features)[0], vectors["logits"])
            compare(f"{name} first row", mean[0], vectors["retention_mean_over_heads_first_row"])
            compare(f"{name} column mean", mean.mean(0), vectors["retention_mean_over_heads_column_mean"])
            if "retention_last_layer" in vectors:
                compare(f"{name} retention", last.matrix[0], vectors["retention_last_layer"])
            last.keep_matrix, last.matrix = False, None
        channels, blocks = heads["resnet_hidden"], heads["resnet_blocks"]
        if heads["fold"]:
            head = FoldHead(width, channels, blocks)
            load(backbone, head, folder / f"k{k}_fold.pth")
        for record in heads["fold"]:
            features = backbone(torch.tensor(tokenize(record["seq"], k))[None])[0]
            compare(record["file"], head(features), np.load(folder / record["file"])["pair_logits"])
        if heads["coding"]:
            head = CodingHead(width, channels, blocks)
            load(backbone, head, folder / f"k{k}_coding.pth")
        for record in heads["coding"]:
            features = backbone(torch.tensor(tokenize(record["seq"], k))[None])[0]
            vectors = np.load(folder / record["file"])
            for suffix, skip in (("", False), ("_blocks_skipped", True)):
                logits = head(features, skip)
                compare(f"{record['file']} cds_logits{suffix}", logits, vectors[f"cds_logits{suffix}"])
                windows = logits.sigmoid().double().unfold(0, min(30, len(logits)), 1).mean(-1)
                compare(f"{record['file']} coding_potential{suffix}", windows.max(), vectors[f"coding_potential{suffix}"])
        if heads["mirtarget"]:
            head = mirtarget_head(width)
            load(backbone, head, folder / f"k{k}_mirtarget.pth")
        for number, record in enumerate(heads["mirtarget"]):
            ids = pair_tokens(record["mirna"], record["target"], k)
            if ids != record["tokens"]:
                sys.exit(f"k{k} mirtarget pair {number}: tokens differ")
            logits = head(backbone(torch.tensor(ids)[None])[0, 0])
            compare(f"k{k} mirtarget pair {number}", logits, record["logits"])
            compare(f"k{k} mirtarget probability {number}", logits.softmax(-1)[1], record["probability"])
    print(f"{count} arrays agree; the largest relative difference is {worst:.1e}")


# ---------------------------------------------------------------------------------------------------------- the times


def best_of(runs, work):
    best = math.inf
    for _ in range(runs):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def measure(what, size, runs, k):
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(size)
    vocabulary = 4**k + FIRST_KMER
    backbone = Backbone(vocabulary).eval()

    def random_tokens(*shape):
        return torch.randint(FIRST_KMER, vocabulary, shape, generator=draw)

    if what == "backbone":
        tokens = random_tokens(1, size)
        backbone(random_tokens(1, min(size, 256)))
        return best_of(runs, lambda: backbone(tokens))
    if what == "fold":
        head, features = FoldHead().eval(), torch.randn(size, 384, generator=draw)
        head(features[: min(size, 32)])
        return best_of(runs, lambda: head(features))
    # One batch: miRNAs of 20 to 23 nt, 40 nt targets, padded to 66 tokens by id 0 as the published loader pads.
    head = mirtarget_head().eval()
    tokens = torch.zeros(size, 66, dtype=torch.long)
    for row in range(size):
        length = 20 + row % 4
        tokens[row, 0] = tokens[row, 1 + length] = SEPARATOR
        tokens[row, 1 : 1 + length] = random_tokens(length)
        tokens[row, 2 + length : 42 + length] = random_tokens(40)
    head(backbone(tokens[:1])[:, 0])
    return best_of(runs, lambda: head(backbone(tokens)[:, 0]).softmax(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("backbone", "fold", "mirtarget"))
    parser.add_argument("sizes", nargs="*", type=int)
    parser.add_argument("--check", metavar="FOLDER", help="compare with the reference vectors in FOLDER")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("-k", type=int, default=1, help="k-mer length of the timed model")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with torch.inference_mode():
        if arguments.check:
            check(arguments.check)
        elif arguments.what and arguments.sizes:
            print("what\tsize\tseconds\tpeak_rss_bytes")
            for size in arguments.sizes:
                seconds = measure(arguments.what, size, arguments.runs, arguments.k)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                print(f"{arguments.what}\t{size}\t{seconds:.6g}\t{peak}", flush=True)
        else:
            parser.error("say what to time and at which sizes, or --check FOLDER")


if __name__ == "__main__":
    main()
