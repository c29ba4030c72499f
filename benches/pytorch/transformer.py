#!/usr/bin/env python3
"""One layer of RiNALMo's shape in PyTorch, with its own scaled-dot-product attention: for comparison of speed only.

    transformer.py rinalmo-micro 512 4096 16384      width 480, 20 heads
    transformer.py rinalmo-giga 512                  width 1280, 20 heads

Norm, queries, keys and values, rotation by halves, attention, SwiGLU, and a norm at the end, in f32. Times go to standard output as
TSV: what, size, seconds (the least of --runs), peak_rss_bytes (of the process so far). Needs torch.
"""

import argparse
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS = {"rinalmo-micro": 480, "rinalmo-giga": 1280}
HEADS = 20


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        inner = 8 * width // 3
        self.width = width
        self.attention_norm, self.ffn_norm, self.last_norm = (nn.LayerNorm(width) for _ in range(3))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.fc1, self.gate = nn.Linear(width, inner), nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x, cosine, sine):
        h = self.attention_norm(x)
        q, k, v = (part.view(-1, HEADS, self.width // HEADS).transpose(0, 1) for part in self.qkv(h).chunk(3, -1))
        q, k = (turned * cosine + torch.cat((-b, a), -1) * sine for turned, (a, b) in ((t, t.chunk(2, -1)) for t in (q, k)))
        attended = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        x = h + self.out(attended.transpose(0, 1).reshape(-1, self.width))
        h = self.ffn_norm(x)
        return self.last_norm(x + self.fc2(F.silu(self.fc1(h)) * self.gate(h)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=WIDTHS)
    parser.add_argument("sizes", nargs="+", type=int, metavar="LENGTH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    width = WIDTHS[arguments.what]
    layer = Layer(width).eval()
    half = width // HEADS // 2
    rates = 10000.0 ** (-torch.arange(half) / half)
    for size in arguments.sizes:
        phase = (torch.arange(size)[:, None] * rates).repeat(1, 2)
        x = torch.randn(size, width)
        seconds = []
        with torch.inference_mode():
            for _ in range(arguments.runs + 1):
                start = time.perf_counter()
                layer(x, phase.cos(), phase.sin())
                seconds.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(arguments.what, size, f"{min(seconds[1:]):.6f}", peak, sep="\t", flush=True)


if __name__ == "__main__":
    main()
