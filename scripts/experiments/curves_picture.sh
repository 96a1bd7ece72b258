#!/usr/bin/env bash
# Draws held-out loss over steps as an SVG, one curve a run:
#   curves_picture.sh TITLE=METRICS.jsonl... >picture.svg
set -euo pipefail

for curve in "$@"; do
  echo "curve ${curve%%=*}"
  # The evaluation before the first step is of batch 0.
  sed -n 's/.*"event":"eval".*"batch":\([0-9]*\).*"loss":\([0-9.e+-]*\).*/\1 \2/p' "${curve#*=}"
done | awk '
  /^curve / { title[++n] = substr($0, 7); next }
  {
    x[n, ++points[n]] = $1; y[n, points[n]] = $2
    if ($1 > right) right = $1
    if (low == "" || $2 < low) low = $2
    if ($2 > high) high = $2
  }
  function px(v) { return 60 + 480 * v / right }
  function py(v) { return 20 + 320 * (top - v) / (top - bottom) }
  END {
    step = 0.05
    bottom = int(low / step) * step
    top = (int(high / step) + 1) * step
    split("#d55e00 #cc79a7 #999999 #000000 #0072b2 #56b4e9", colour, " ")
    split("none none none 3,5 none 8,4", dash, " ")
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 390\" font-family=\"sans-serif\" font-size=\"13\">"
    print "<rect width=\"760\" height=\"390\" fill=\"white\"/>"
    for (v = bottom; v < top + step / 2; v += step) {
      printf "<path d=\"M60 %.1fH540\" stroke=\"#e5e5e5\"/>\n", py(v)
      printf "<text x=\"52\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>\n", py(v) + 4, v
    }
    for (i = 0; i <= 4; ++i) {
      v = int(right * i / 4 + 0.5)
      printf "<text x=\"%.1f\" y=\"358\" text-anchor=\"middle\">%d</text>\n", px(v), v
    }
    print "<text x=\"300\" y=\"380\" text-anchor=\"middle\">steps</text>"
    print "<text x=\"16\" y=\"180\" text-anchor=\"middle\" transform=\"rotate(-90 16 180)\">held-out loss, nats a token</text>"
    for (c = 1; c <= n; ++c) {
      printf "<path fill=\"none\" stroke-width=\"2\" stroke=\"%s\" stroke-dasharray=\"%s\" d=\"", colour[c], dash[c]
      for (i = 1; i <= points[c]; ++i) printf "%s%.1f %.1f", i == 1 ? "M" : "L", px(x[c, i]), py(y[c, i])
      print "\"/>"
      printf "<path fill=\"none\" stroke-width=\"2\" stroke=\"%s\" stroke-dasharray=\"%s\" d=\"M560 %dH590\"/>\n", colour[c], dash[c], 20 + 22 * c
      printf "<text x=\"598\" y=\"%d\">%s</text>\n", 24 + 22 * c, title[c]
    }
    print "</svg>"
  }'
