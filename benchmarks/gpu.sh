#!/usr/bin/env bash
# What lanes take and gain on a GPU, in at most six minutes; every step has a limit of its own, the last ones what is left.
#
#   benchmarks/gpu.sh OUT                                         on a machine with an NVIDIA GPU and Python 3.11
#   JAX=jax LANES=1,4 MOST=8 TRIALS=8 PYTHON=python benchmarks/gpu.sh OUT  the same on a CPU, in small numbers
#
# OUT gets what each step printed, and summary.txt with all of it. PYTHON, where it is given, has what is needed; else
# an environment is made.
set -uo pipefail
out=$(mkdir -p "${1:?say where the results go}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
lanes=${LANES:-1,4,16,64,256,1024,4096} most=${MOST:-16384} trials=${TRIALS:-256} few=$(( ${TRIALS:-256} / 8 ))
export XLA_PYTHON_CLIENT_PREALLOCATE=false TF_CPP_MIN_LOG_LEVEL=3 KEXP_CACHE=${KEXP_CACHE:-$out/cache}

step() { # NAME SECONDS COMMAND...
  local name=$1 left=$(( 360 - SECONDS )) limit=$2; shift 2
  limit=$(( limit < left ? limit : left > 1 ? left : 1 ))
  echo "== $name" | tee -a "$out/summary.txt"
  timeout "$limit" "$@" > "$out/$name.txt" 2> "$out/$name.err"
  local code=$?
  tail -n 30 "$out/$name.txt" | tee -a "$out/summary.txt"
  [ $code -eq 0 ] || echo "$name ended with $code: $(tail -n 1 "$out/$name.err")" | tee -a "$out/summary.txt"
}

: > "$out/summary.txt"
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$out/venv"
  PYTHON=$out/venv/bin/python
  step install 100 "$PYTHON" -m pip install -q "${JAX:-jax[cuda12]}" "keras>=3.15,<4" "hydra-core>=1.3.2,<1.4" numpy psutil \
    scikit-learn packaging pyyaml
  step kexp 20 "$PYTHON" -m pip install -q --no-deps .
fi
step device 30 "$PYTHON" -c 'import jax; print(jax.__version__, jax.devices(), jax.devices()[0].device_kind)'
step equal 40 "$PYTHON" benchmarks/fused.py --equal "mlp:$few:5"
step lanes 100 "$PYTHON" benchmarks/fused.py --lanes "$lanes"                         # the best width, ms a trial, memory
step loop 40 "$PYTHON" benchmarks/fused.py --cases "mlp:$trials:5" --loop-trials 2     # keras.fit by hand, same device
step shapes 60 "$PYTHON" benchmarks/fused.py --cases "lstm:$few:5,cnn:$few:5" --loop-trials 1
step most 80 "$PYTHON" benchmarks/fused.py --lanes "$most"
step images 60 "$PYTHON" benchmarks/fused.py --cases "images:$few:2" --loop-trials 1
step blocks 60 "$PYTHON" benchmarks/fused.py --cases "inputs:$few:2" --memory-mb 40 --no-loop
rm -rf "$out/venv" "$out/cache"
