#!/usr/bin/env python3
"""The PyTorch counterpart on a GPU: the model of benches/pytorch/reference.py, retention through the whole L x L matrix.

    counterpart.py cuda bf16 pretrain 2000 16     one update on 16 sequences of 2,000 nt: forward, backward, AdamW
    counterpart.py cuda bf16 embed 2000 16        the forward pass
    counterpart.py cuda f32 fold 400              published fold head and backbone
    counterpart.py cuda bf16 matmul 8192          one product: the card's ceiling

Prints TSV `what size precision seconds tokens_per_second flop_per_second`, the median of several runs. `tiny` at the end
makes everything small, for a trial on the CPU. Weights stay f32; bf16 is PyTorch's autocast.
"""

import contextlib
import pathlib
import statistics
import sys
import time

import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "pytorch"))
import reference  # noqa: E402


class Backbone(reference.Backbone):
    """Positions and decays are computed once for each length, not in every pass."""

    def positions(self, length):
        if getattr(self, "known", (None, None))[0] != length:
            self.known = length, super().positions(length)
        return self.known[1]


def measure(device, work):
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    work()
    wait()
    seconds = []
    while len(seconds) < 3 or (sum(seconds) < 3 and len(seconds) < 30):
        start = time.perf_counter()
        work()
        wait()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main():
    arguments = sys.argv[1:]
    tiny = arguments[-1] == "tiny"
    device, precision, what, *sizes = arguments[: len(arguments) - tiny]
    length, count = int(sizes[0]), int(sizes[1]) if len(sizes) > 1 else 1
    torch.manual_seed(0)
    torch.set_default_device(device)
    half = torch.autocast(device, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    width = dict(width=32, value_width=32, inner=32, layers=2) if tiny else {}
    backbone = Backbone(10, **width)
    d = backbone.width
    weights = sum(p.numel() for layer in backbone.layers for p in layer.parameters() if p.dim() == 2)
    tokens = torch.randint(6, 10, (count, length))
    flop = 0.0

    if what == "pretrain":
        optimiser = torch.optim.AdamW(backbone.parameters(), lr=1e-4, fused=device == "cuda")
        hidden = torch.rand(count, length) < 0.15

        def work():
            optimiser.zero_grad(set_to_none=True)
            with half:
                logits = backbone.logits(backbone(tokens)[hidden])
            F.cross_entropy(logits.float(), tokens[hidden]).backward()
            torch.nn.utils.clip_grad_norm_(backbone.parameters(), 1.0)
            optimiser.step()

        flop = 6.0 * weights * count * length
    elif what == "embed":
        flop = 2.0 * weights * count * length

        def work():
            with half, torch.inference_mode():
                backbone(tokens)

    elif what == "fold":
        head = reference.FoldHead(d, **(dict(channels=8, blocks=2) if tiny else {}))

        def work():
            with half, torch.inference_mode():
                head(backbone(tokens[:1])[0])

    elif what == "matmul":
        a, b = (torch.randn(length, length).to(torch.bfloat16 if precision == "bf16" else torch.float32) for _ in "ab")
        flop = 2.0 * length**3

        def work():
            a @ b

    else:
        sys.exit(__doc__)
    seconds = measure(device, work)
    size = f"{count}x{length}" if what in ("pretrain", "embed") else str(length)
    rate = 0.0 if what == "matmul" else count * length / seconds
    print(f"{what}\t{size}\t{precision}\t{seconds:.6f}\t{rate:.6e}\t{flop / seconds:.6e}")


if __name__ == "__main__":
    main()
