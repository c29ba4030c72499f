#!/usr/bin/env python3
"""Is a GPU right, and how fast is it? One run, within ten minutes; builds nothing.

    cargo bench --features cuda --bench gpu --no-run       (docs/gpu.md) prints the path of the program
    python3 benches/gpu/run.py target/release/deps/gpu-0123456789abcdef
    python3 benches/gpu/run.py --dry-run PROGRAM           tiny sizes on the CPU: whether the benchmark itself works

First every task's loss, gradients and update, the features and the fold maps are compared with the CPU's, in f32 and in
bf16; a difference ends the run with status 1. Then standard output gets TSV, a row for each measurement: who (rnaret or
pytorch), what, size, precision, seconds, tokens_per_second, flop_per_second, and part_of_ceiling, which is
flop_per_second beside that of one large product in PyTorch or in ours, whichever is faster. The PyTorch rows need a
Python with torch (--python); without one they are left out, and standard error says so.
"""

import argparse
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent

# who, precision, what, sizes. In the order of their worth: what no time is left for is left out, and named.
CASES = [
    ("rnaret", "bf16", "matmul", "8192"),
    ("pytorch", "bf16", "matmul", "8192"),
    ("rnaret", "f32", "matmul", "8192"),
    ("rnaret", "bf16", "pretrain", "2000 16"),
    ("pytorch", "bf16", "pretrain", "2000 16"),
    ("rnaret", "bf16", "embed", "2000 32"),
    ("rnaret", "f32", "embed", "2000 32"),
    ("pytorch", "bf16", "embed", "2000 32"),
    ("rnaret", "f32", "embed", "1000000 1"),
    ("rnaret", "bf16", "embed", "1000000 1"),
    ("rnaret", "f32", "fold-helices", "400"),
    ("rnaret", "bf16", "fold-helices", "400"),
    ("rnaret", "f32", "fold-published", "400"),
    ("rnaret", "bf16", "fold-published", "400"),
    ("pytorch", "f32", "fold", "400"),
    ("rnaret", "f32", "pretrain", "2000 16"),
    ("rnaret", "bf16", "pretrain", "2000 64"),
    ("rnaret", "bf16", "retention", "128 256"),
    ("rnaret", "bf16", "retention-quadratic", "128 256"),
    ("rnaret", "bf16", "retention", "2000 16"),
    ("rnaret", "bf16", "retention-quadratic", "2000 16"),
    ("rnaret", "bf16", "retention", "8192 4"),
    ("rnaret", "bf16", "retention-quadratic", "8192 1"),
    ("rnaret", "bf16", "retention", "131072 1"),
    ("rnaret", "f32", "retention", "131072 1"),
]
TINY = [(who, "f32", what, "40 2" if " " in sizes else "40") for who, _, what, sizes in CASES]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="the benchmark, built with --features cuda")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=570, help="what the whole run may take")
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    start = time.monotonic()
    device = "cpu" if arguments.dry_run else arguments.device
    tail = ["tiny"] if arguments.dry_run else []

    def left():
        return arguments.seconds - (time.monotonic() - start)

    def run(command):
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=max(left(), 1))

    for precision in ["f32"] if arguments.dry_run else ["f32", "bf16"]:
        done = run([program, device, precision, "check", *tail])
        sys.stderr.write(done.stdout + done.stderr)
        if done.returncode != 0:
            sys.exit(f"the device does not compute what the CPU computes in {precision}")

    torch = run([arguments.python, "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"])
    has_torch = torch.returncode == 0 and (arguments.dry_run or torch.stdout.split()[1] == "True")
    print(f"pytorch: {torch.stdout.strip() or 'none'}" + ("" if has_torch else "; its rows are left out"), file=sys.stderr)

    print("who\twhat\tsize\tprecision\tseconds\ttokens_per_second\tflop_per_second\tpart_of_ceiling")
    ceilings = {}
    for who, precision, what, sizes in TINY if arguments.dry_run else CASES:
        if who == "pytorch" and not has_torch:
            continue
        if left() < 5:
            print(f"no time is left for {who} {what} {sizes} {precision}", file=sys.stderr)
            continue
        command = [program, device] if who == "rnaret" else [arguments.python, HERE / "counterpart.py", device.split(":")[0]]
        try:
            done = run([*command, precision, what, *sizes.split(), *tail])
        except subprocess.TimeoutExpired:
            print(f"no time is left for {who} {what} {sizes} {precision}", file=sys.stderr)
            continue
        if done.returncode != 0:
            reason = (done.stderr.strip() or "no message").splitlines()
            print(f"{who} {what} {sizes} {precision} failed: {' / '.join(reason[:3])}", file=sys.stderr)
            continue
        row = done.stdout.strip().split("\t")
        flop = float(row[5])
        if what == "matmul":
            ceilings[precision] = max(ceilings.get(precision, 0.0), flop)
        part = f"{flop / ceilings[precision]:.3f}" if flop and precision in ceilings else "NA"
        print(who, *row, part, sep="\t", flush=True)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
