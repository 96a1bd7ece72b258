#!/usr/bin/env bash
# Writes docs/KERNELS.md: what nvcc makes of the kernels on each architecture, and what bounds them.
#   scripts/kernel_table.sh [OUTPUT]     needs nvcc and c++filt; takes some minutes
# Fails, and writes nothing, where a kernel spills registers on any of them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${1:-docs/KERNELS.md}
architectures=(80 86 89 90)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

compile() {  # file architecture
  local flags=(-std=c++20 -I. -O3)
  case $1 in kernels/update.cu | kernels/adalomo.cu) flags+=(-fmad=false) ;; esac
  local name
  name=$(basename "$1" .cu)
  nvcc "${flags[@]}" -arch="sm_$2" -Xptxas -v -cubin -o "$folder/out.$name.$2" "$1" \
    2> "$folder/$name.$2.log"
  if (($2 == 80)); then nvcc "${flags[@]}" -arch=sm_80 -ptx -o "$folder/$name.ptx" "$1"; fi
}
export -f compile
export folder
for file in kernels/*.cu; do
  for architecture in "${architectures[@]}"; do echo "$file $architecture"; done
done | xargs -P "$(nproc)" -L 1 bash -c 'set -euo pipefail; compile "$0" "$1"'

# One line a kernel and architecture: family;kernel;architecture;registers;shared;spilled. Names are
# demangled first: mangled, they differ between architectures.
plain_names() {
  c++filt | sed -E 's/lomo::kernels:://g; s/\(anonymous namespace\):://g; s/\((int|bool)\)//g' |
    sed -E 's/__nv_bfloat16/bf16/g; s/__half/f16/g'
}
for log in "$folder"/*.log; do
  name=$(basename "$log" .log)
  plain_names < "$log" | awk -v family="${name%.*}" -v arch="${name##*.}" '
    /Compiling entry function/ {
      split($0, part, "\047")
      kernel = part[2]
      sub(/^void /, "", kernel)
      sub(/\(.*/, "", kernel)
    }
    /bytes stack frame/ { spilled = $1 + $5 + $9 }
    /Used [0-9]+ registers/ {
      shared = 0
      for (i = 1; i <= NF; ++i) {
        if ($i == "registers,") registers = $(i - 1)
        if ($i ~ /^smem/) shared = $(i - 2)
      }
      print family ";" kernel ";" arch ";" registers ";" shared ";" spilled
    }'
done | LC_ALL=C sort > "$folder/resources"

if ! awk -F ';' '$6 > 0 { print $2 " for sm_" $3 ": " $6 " bytes"; bad = 1 } END { exit bad }' \
  "$folder/resources" >&2; then
  echo "kernel_table: the above spill or keep something in local memory" >&2
  exit 1
fi

# One line a kernel: mma, ldmatrix, cp.async, 16-byte loads, 16-byte stores in its PTX for sm_80.
plain_names < <(sed -E 's/^.*\.entry ([^(]*)\(.*$/.entry \1/' "$folder"/*.ptx) | awk '
  /^\.entry/ {
    name = $0
    sub(/^\.entry (void )?/, "", name)
    sub(/\(.*/, "", name)
    names[++n] = name
  }
  /mma\.sync/ { ++mma[name] }
  /ldmatrix/ { ++ldm[name] }
  /cp\.async\.c[ag]/ { ++cpa[name] }
  /ld\.global.*v4/ { ++loads[name] }
  /st\.global.*v4/ { ++stores[name] }
  END {
    for (i = 1; i <= n; ++i) {
      k = names[i]
      print k ";" mma[k] + 0 ";" ldm[k] + 0 ";" cpa[k] + 0 ";" loads[k] + 0 ";" stores[k] + 0
    }
  }' | LC_ALL=C sort > "$folder/mix"

table() {
  awk -F ';' '
    function resident(registers, shared, threads, arch,    warps, by_registers, by_shared, most) {
      warps = threads / 32
      by_registers = int(65536 / (int((registers * 32 + 255) / 256) * 256) / warps)
      by_shared = int((arch == 80 ? 164 : arch == 90 ? 228 : 100) * 1024 / (shared + 1024))
      most = int((arch == 80 || arch == 90 ? 64 : 48) / warps)
      if (most > (arch == 80 || arch == 90 ? 32 : 16)) most = arch == 80 || arch == 90 ? 32 : 16
      if (by_registers < most) most = by_registers
      if (by_shared < most) most = by_shared
      return int(100 * most * warps / (arch == 80 || arch == 90 ? 64 : 48) + 0.5)
    }
    FNR == NR { mix[$1] = $2 " | " $3 " | " $4 " | " $5 " | " $6; next }
    {
      key = $1 SUBSEP $2
      if (!(key in seen)) { seen[key] = 1; order[++n] = key; family[n] = $1; kernel[n] = $2 }
      registers[key, $3] = $4
      shared[key] = $5
      spilled[key] += $6
    }
    END {
      for (i = 1; i <= n; ++i) {
        key = order[i]
        name = kernel[i]
        threads = name ~ /^(rope_kernel|forward_kernel|square_tile)/ ? 128 : 256
        if (name ~ /^simple_/) threads = 32
        dynamic = 0
        width = name ~ /128/ ? 128 : 64
        if (name ~ /^forward_kernel/) dynamic = 2 * 64 * width * 2 + 512
        if (family[i] == "attention_backward") dynamic = (256 + 128) * width * 2 + 768
        if (name ~ /^rmsnorm_backward/) dynamic = (name ~ /4096/ ? 16384 : 45056) + 192
        total = shared[key] + dynamic
        printf "| %s | `%s` | %s | %s | %s | %s | %d | %d | %d / %d | %s |\n", family[i], name,
          registers[key, 80], registers[key, 86], registers[key, 89], registers[key, 90], total,
          spilled[key], resident(registers[key, 80], total, threads, 80),
          resident(registers[key, 86], total, threads, 86), mix[kernel[i]]
      }
    }' "$folder/mix" "$folder/resources"
}

# kernel; elements in words and number; bytes an element; flops an element; tensor cores or not.
roofline() {
  awk -F ';' '
    BEGIN { OFMT = "%.4g" }
    {
      bytes = $3 * $4
      flops = $3 * $5
      gpu[1] = 936e9; peak[1] = $6 ? 71e12 : 35.6e12    # RTX 3090
      gpu[2] = 1555e9; peak[2] = $6 ? 312e12 : 19.5e12  # A100 40 GB
      line = "| " $1 " | " $2 " | " $4 " | " $5
      for (i = 1; i <= 2; ++i) {
        memory = bytes / gpu[i] * 1e6
        compute = flops / peak[i] * 1e6
        line = line sprintf(" | %.0f us, %s", memory > compute ? memory : compute,
                            memory > compute ? "memory" : "arithmetic")
      }
      print line " |"
    }' << 'ROOF'
rmsnorm;4096 x 4096;16777216;4;4;0
rmsnorm_backward with residual and dw;4096 x 4096;16777216;8.5;12;0
rope, queries or keys;4096 x 4096;16777216;4;3;0
swiglu;4096 x 11008;45088768;6;20;0
swiglu_backward;4096 x 11008;45088768;10;30;0
gather_rows or scatter_rows;4096 x 4096;16777216;4;0;0
sum_rows, 1000 segments;4096 x 4096;16777216;3;1;0
cross_entropy_block;1024 x 8192;8388608;4;10;0
cross_entropy_backward to bf16;1024 x 8192;8388608;6;10;0
sgd_update of a tile, bf16, nearest;256 x 4096;1048576;8;6;0
sgd_update of a tile, bf16, stochastic;256 x 4096;1048576;8;31;0
sgd_update of a tile, bf16, from 8 parts in bf16;256 x 4096;1048576;20;14;0
adamw_update, bf16;4096 x 4096;16777216;28;20;0
accumulate_squared_norm of a tile;256 x 4096;1048576;4;4;0
inner_product of a tile;256 x 4096;1048576;8;12;0
sum_partials, 8 of a tile in bf16;256 x 4096;1048576;20;8;0
square_sums;4096 x 4096;16777216;4;5;0
adalomo_statistics, bf16;4096 x 4096;16777216;6;8;0
adalomo_update, bf16, nearest;4096 x 4096;16777216;8;8;0
convert f32 to bf16;4096 x 4096;16777216;6;0;0
attention forward, width 128;2 sequences of 2048, 32 heads: pairs;134283264;1;512;1
attention backward, width 128;2 sequences of 2048, 32 heads: pairs;134283264;2.3;1792;1
ROOF
}

{
  cat << TEXT
# The CUDA kernels

Generated by \`scripts/kernel_table.sh\` with $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/nvcc \1/p').

**Compiled for sm_80, sm_86, sm_89 and sm_90 (the last also as PTX); run on an emulated device in the
tests (\`tests/cuda_host\`, \`tests/kernels\`); not yet run on hardware.** Every time below is arithmetic,
none is a measurement.

## What the compiler made of them

Registers a thread by architecture; bytes of shared memory a block, static and dynamic; bytes
spilled to local memory, over all architectures (the build fails when there are any); warps resident
of those that a multiprocessor can hold, in percent, on sm_80 / sm_86; instructions in the PTX for
sm_80: tensor-core products, \`ldmatrix\`, \`cp.async\`, 16-byte loads and stores of global memory. The
number after the type is the elements a thread takes at a time; 1 is the simple variant. For tiled
attention it is the head width, followed by whether a block owns keys (dK, dV) or queries (dQ); for
the norm's backward the columns whose sums fit come last.

| family | kernel | sm_80 | sm_86 | sm_89 | sm_90 | shared | spilled | warps % | mma | ldmatrix | cp.async | ld 16 | st 16 |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
TEXT
  table
  cat << 'TEXT'

Attention of width 128 holds 8 warps of a multiprocessor, two on each of its four schedulers. That is
no more than its registers allow (64 of output and 32 of scores a thread, and 32 of queries), and it
is enough: on sm_80 a scheduler starts an `mma` of 16 x 8 x 16 every 8 cycles (1024 products a cycle
and multiprocessor) and waits 25 to 35 cycles for its result (as others measured it), so that 5
independent ones keep it busy; a warp has 8 at every step over the width, one for each 8 keys, and the
second warp multiplies while the first takes exponentials (64 x 64 at 16 a cycle: 256 cycles, beside
1024 that the products of a tile take). A third block a multiprocessor would take at most 168 registers
a thread: queries read from shared memory again for every tile, and tiles of 32 keys, which is 3
`ldmatrix` for 4 products of the scores where it is 4 for 8 now.

## How they use memory

Counted on the emulated device, instruction by instruction (`tests/kernels/watched`, which runs with
the tests): no two accesses of a block to shared memory race; every load and store of shared memory
passes over the 32 banks as often as its bytes need and no more (factor 1.0); every load and store of
global memory of 8 or 16 bytes a lane touches as many sectors of 32 bytes as its bytes need (factor
1.0), where rows begin at a multiple of 32 bytes. Narrower accesses (a value a row: statistics,
positions, row lists) make up at most 2 % more sectors than needed, but in attention, where lse is
(N,H) and a head's value of a row is alone in its sector: 3.5 / width forward, 7 / width backward at
most. Kernels that read f32 beside 16-bit values take 4 elements a thread, 16 bytes of the one and 8
of the other: 8 elements would touch every sector of the f32 side twice.

## What bounds them

The bound is the larger of bytes / bandwidth and flops / peak, for the extents given (those of a 7B
model, 4096 tokens): RTX 3090 936 GB/s, 35.6 TFLOP/s in fp32, 71 TFLOP/s on tensor cores (16-bit
products, fp32 sums); A100 40 GB 1555 GB/s, 19.5 and 312 TFLOP/s. Bytes and flops are per element of
the extents, bf16 storage. `time = elements x max(bytes / bandwidth, flops / peak)`.

Attention counts visible pairs of a query and a key of a head: 4 x width flops forward, 14 x width
backward (the scores are computed by the owner of the queries and by the owner of the keys). Sums in
double are counted as fp32 flops; a GeForce has one double unit in 64 (278 G operations/s on a 3090),
which makes `accumulate_squared_norm`, two of them an element, and `adalomo_statistics`, four, about 1.7 and 2.2 times
slower there than their bound.

What to expect of them is the bound divided by what such kernels usually reach: 0.8 to 0.9 of the
bandwidth where memory bounds them, 0.4 to 0.6 of the tensor cores' peak for attention. Tiles of
256 rows take about as long as the launch itself.

| kernel | elements | bytes | flops | bound on a 3090 | bound on an A100 |
|---|---|---|---|---|---|
TEXT
  roofline
} > "$output"
echo "wrote $output"
