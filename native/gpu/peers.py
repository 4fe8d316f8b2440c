#!/usr/bin/env python3
"""What PyTorch and cuBLAS take for the shapes that `cuda_check ... bench` times: the products of a layer, and a plain decode as one CUDA graph, in BF16 with random
numbers. Times are medians of events, after five runs that do not count; on a processor (--device cpu, which only shows that it runs) of its clock.
    peers.py [8b|1b|tiny] [--device cuda|cpu]
"""
import argparse
import math
import time

import torch

SHAPES = {  # layers, hidden, feed forward, heads, kv heads, head width, vocabulary
    "8b": (32, 4096, 14336, 32, 8, 128, 128256),
    "1b": (16, 2048, 8192, 32, 8, 64, 128256),
    "tiny": (2, 128, 192, 4, 2, 32, 300),
}
REPEATS = 21


def timed(step, device):
    """Milliseconds of step as a CUDA graph; on a processor of step itself."""
    if device == "cpu":
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            step()
            times.append((time.perf_counter() - begin) * 1e3)
        return sorted(times)[1]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what is set up at the first call is set up before the capture
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    times = []
    for run in range(REPEATS + 5):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        if run >= 5:
            times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


class Model:
    """A Llama's forward with random weights; keys and values of a context are there already."""

    def __init__(self, shape, context, device):
        self.layers, hidden, feed_forward, self.heads, self.kv_heads, self.width, vocabulary = shape
        self.context, self.device = context, device
        random = lambda *size: torch.randn(*size, dtype=torch.bfloat16, device=device) / math.sqrt(size[-1])
        self.embedding = random(vocabulary, hidden)
        self.weights = [
            (random((self.heads + 2 * self.kv_heads) * self.width, hidden), random(hidden, self.heads * self.width), random(2 * feed_forward, hidden), random(hidden, feed_forward))
            for _ in range(self.layers)
        ]
        self.head = random(vocabulary, hidden)
        self.gain = torch.ones(hidden, dtype=torch.bfloat16, device=device)
        room = context + 64
        self.cache = [torch.randn(2, self.kv_heads, room, self.width, dtype=torch.bfloat16, device=device) for _ in range(self.layers)]

    def norm(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * self.gain

    def rotate(self, x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def forward(self, tokens):
        """A chain of tokens behind the context; returns the highest logit's id of each."""
        rows = tokens.shape[0]
        end = self.context + rows
        positions = torch.arange(self.context, end, device=self.device)
        angles = positions[:, None] * 10000.0 ** (-torch.arange(0, self.width, 2, device=self.device) / self.width)
        cos, sin = (f(angles).to(torch.bfloat16)[:, None] for f in (torch.cos, torch.sin))
        hidden_keys = torch.arange(end, device=self.device)[None] > positions[:, None]
        group = self.heads // self.kv_heads
        x = self.embedding[tokens]
        for (qkv, out, gate_up, down), cache in zip(self.weights, self.cache):
            q, k, v = (self.norm(x) @ qkv.T).split((self.heads * self.width, self.kv_heads * self.width, self.kv_heads * self.width), -1)
            q = self.rotate(q.view(rows, self.heads, self.width), cos, sin)
            k = self.rotate(k.view(rows, self.kv_heads, self.width), cos, sin)
            cache[0, :, self.context : end] = k.transpose(0, 1)
            cache[1, :, self.context : end] = v.view(rows, self.kv_heads, self.width).transpose(0, 1)
            # [kv heads, group · rows, width] by [kv heads, keys, width]: no key is copied for the heads that share it
            grouped = q.view(rows, self.kv_heads, group, self.width).permute(1, 2, 0, 3).reshape(self.kv_heads, group * rows, self.width)
            scores = grouped @ cache[0, :, :end].transpose(1, 2) / math.sqrt(self.width)
            scores = scores.view(self.kv_heads, group, rows, end).masked_fill(hidden_keys, float("-inf"))
            weights = scores.float().softmax(-1).to(torch.bfloat16).view(self.kv_heads, group * rows, end)
            attended = (weights @ cache[1, :, :end]).view(self.kv_heads, group, rows, self.width).permute(2, 0, 1, 3).reshape(rows, self.heads * self.width)
            x = x + attended @ out.T
            gate, up = (self.norm(x) @ gate_up.T).chunk(2, -1)
            x = x + (torch.nn.functional.silu(gate) * up) @ down.T
        return (self.norm(x) @ self.head.T).argmax(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", nargs="?", choices=SHAPES, default="8b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    shape, device = SHAPES[arguments.shape], arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("this PyTorch finds no CUDA device")
    torch.manual_seed(1)
    on = torch.cuda.get_device_name() if device == "cuda" else "a processor"
    print(f"peer: PyTorch {torch.__version__} on {on}, BF16, shape {arguments.shape}")
    with torch.inference_mode():
        layers = shape[0]
        model = Model(shape, 128, device)
        for rows in (1, 8, 64):
            said = []
            names = ("qkv", "o", "gate_up", "down")
            for i, name in enumerate(names):
                x = torch.randn(rows, model.weights[0][i].shape[1], dtype=torch.bfloat16, device=device)
                products = lambda: [x @ weights[i].T for weights in model.weights]  # of all layers, so that none comes from a cache
                said.append(f"{name} {timed(products, device) * 1e3 / layers:.2f}")
            x = torch.randn(rows, shape[1], dtype=torch.bfloat16, device=device)
            said.append(f"head {timed(lambda: x @ model.head.T, device) * 1e3:.2f}")
            print(f"peer products, {rows:2d} rows, us: {' '.join(said)}", flush=True)
        for context in (128, 4096):
            model.context = context
            model.cache = [torch.randn(2, shape[4], context + 64, shape[5], dtype=torch.bfloat16, device=device) for _ in range(layers)]
            for rows in (1, 8, 16, 32, 64):
                tokens = torch.randint(shape[6], (rows,), device=device)
                print(f"peer forward, {rows:2d} rows, context {context:5d}: {timed(lambda: model.forward(tokens), device):.3f} ms", flush=True)


if __name__ == "__main__":
    main()
