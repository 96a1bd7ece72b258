#!/usr/bin/env python3
"""Prints cpython_sample.inc: what CPython's random.sample gives. Run once; the numbers are checked in."""
import random

CASES = [(0, 1, 1), (0, 10, 3), (0, 21, 5), (0, 22, 5), (0, 85, 6), (0, 86, 6), (0, 1000, 1000),
         (0, 2490, 1000), (0, 3270, 1000), (0, 4117, 1000), (0, 4118, 1000), (0, 4848, 1000),
         (0, 5428, 1000), (0, 9427, 1000), (0, 27243, 1000), (7, 1000000, 50), (4294967295, 300, 80)]

for seed, n, k in CASES:
    drawn = random.Random(seed).sample(range(n), k)
    fold = 0
    for value in drawn:
        fold = (fold * 31 + value) % 2**64
    head = ", ".join(str(value) for value in drawn[:6])
    print(f"{{{seed}u, {n}, {k}, {{{head}}}, {fold}u}},")
