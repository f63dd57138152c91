#!/usr/bin/env bash
# All that is to be measured on a GPU, in order. A visit takes 25 minutes at most, and the next one
# goes on where it ended. What a step has measured is in FOLDER/STEP.md, all of it in tables.md.
#
#     benchmarks/on_a_gpu.sh                      # a visit
#     benchmarks/on_a_gpu.sh --dry-run            # the steps, and which are done
#     benchmarks/on_a_gpu.sh --device cpu --tiny  # a trial of all steps, in sizes that show nothing
#
# Without a GPU the tests run on the simulated one; the other steps are skipped, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    echo "usage: $0 [--output FOLDER] [--minutes N] [--device auto|cuda|cpu] [--only STEP]..." \
        "[--data FILE.npz] [--study 'WORDS OF study run'] [--tiny] [--dry-run]" >&2
    exit 2
}

output=results/gpu minutes=25 device=auto data=.data/cifar100.npz study= only= tiny= dry=
while (($#)); do
    case $1 in
        --tiny) tiny=yes ;;
        --dry-run) dry=yes ;;
        --output | --minutes | --device | --data | --study | --only)
            (($# > 1)) || usage
            if [[ $1 == --only ]]; then only+=" $2 "; else declare "${1#--}=$2"; fi
            shift
            ;;
        *) usage ;;
    esac
    shift
done

python=${PYTHON:-.venv/bin/python}
type -P "$python" > /dev/null || python=python3
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
if [[ $device == auto ]]; then
    device=cpu
    if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then device=cuda; fi
fi
# Results name the version that made them, also from a checkout where nothing can be installed.
if ! "$python" -c 'import importlib.metadata as m; m.version("proxysample")' 2> /dev/null; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    mkdir "$site/proxysample-0.dist-info"
    printf 'Metadata-Version: 2.1\nName: proxysample\nVersion: %s\n' \
        "$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
        > "$site/proxysample-0.dist-info/METADATA"
    PYTHONPATH+=:$site
fi
hardware=$device
if [[ $device == cuda* ]] && type -P nvidia-smi > /dev/null; then
    hardware=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
fi
ends=$((SECONDS + 60 * minutes)) failed=0
[[ $dry ]] || mkdir -p "$output"

# Say what a step lacks here, if anything.
lacking() {
    if [[ $1 == nothing || $tiny ]]; then return; fi
    if [[ $device != cuda* ]]; then
        echo "no GPU"
    elif [[ $1 == faiss-gpu ]] &&
        ! "$python" -c 'import faiss; assert faiss.get_num_gpus() > 0' 2> /dev/null; then
        echo "no faiss that sees a GPU (pip install 'proxysample[faiss-gpu]')"
    elif [[ $1 == data && $data != synthetic && ! -f $data ]]; then
        echo "no $data"
    fi
}

# step NAME NEEDS COMMAND...: run what is not measured yet, for as long as the visit lasts.
step() {
    local name=$1 lacks file="$output/$1.md" left=$((ends - SECONDS)) code=0
    if [[ $only && $only != *" $name "* ]]; then return; fi
    if [[ -e $file ]]; then
        echo "$name: done"
        return
    fi
    lacks=$(lacking "$2")
    shift 2
    if [[ $lacks ]]; then
        echo "$name: skipped, $lacks"
        return
    elif [[ $dry ]]; then
        echo "$name: to do: $*"
        return
    elif ((left < 5)); then
        echo "$name: left for the next visit"
        return
    fi
    echo "$name: runs"
    printf '## %s\n\n`%s`, %s, %s\n\n' "$name" "$*" "$hardware" "$(date -u +%F)" > "$file.part"
    if declare -F "$1" > /dev/null; then
        "$@" "$left" >> "$file.part" 2> "$output/$name.log" || code=$?
    else
        timeout -k 20 "$left" "$@" >> "$file.part" 2> "$output/$name.log" || code=$?
    fi
    case $code in
        0)
            echo >> "$file.part"
            mv "$file.part" "$file"
            cat "$output"/[0-9]*.md > "$output/tables.md"
            ;;
        75 | 124 | 137) echo "$name: out of time, the next visit goes on" ;;
        *)
            failed=1
            echo "$name: failed ($code); see $output/$name.log"
            tail -n 5 "$file.part" "$output/$name.log"
            ;;
    esac
}

# A study goes on from its own store, and is measured when nothing is left of it.
run_study() {
    local hours
    hours=$(awk "BEGIN {print (${*: -1} > 60 ? ${*: -1} - 30 : ${*: -1}) / 3600}")
    "$python" -m proxysample_nas study run "${@:1:$#-1}" --output "$output/study" \
        --max-hours "$hours" || return
    "$python" -c '
import sys
from proxysample_nas.study import Study
status = Study.open(sys.argv[1]).status()
print(status)
sys.exit(75 if any(stage.left or stage.running for stage in status.stages) else 0)
' "$output/study"
}

# Sizes: of a GPU, or of a trial.
pick() { if [[ $tiny ]]; then echo "$2"; else echo "$1"; fi; }
kmeans=$(pick "--data $data --starts 1 --seeds 3" "--data synthetic --limit 200 --n-clusters 5 --starts 1 --seeds 1")
photos=$(pick "--photos 4096 --small 50000 --num-workers 8" "--photos 4 --small 8 --repeats 1 --num-workers 0 --backbone test_vit")
sizes=$(pick "--repeats 20" "--repeats 1 --n-nodes 3 --channels 2 --cells-per-stage 1 --batch-size 4 --image-size 4")
recording=$(pick "--steps 50" "--steps 1 --epochs 1 --batch 2 --classes 10 --samples 20")
study=${study:-$(pick "--preset cifar100-small --dataset npz:$data" "--preset digits-demo --n-train 100 --ratio 0.5 --sampler rs --searcher random:n_nodes=3,n_samples=1 --train epochs=1 --train cells_per_stage=1 --channels 2 --seed 0")}
forms="--form eager --form compile --form graph"
if [[ $tiny ]]; then forms="--form eager --form graph"; fi

# Words without spaces of their own: each is an option.
# shellcheck disable=SC2086
{
    step 01-gpu-tests nothing env OMP_NUM_THREADS=1 "$python" -m pytest -q -rs -o addopts= --import-mode=importlib \
        -p no:cacheprovider -p no:benchmark -n 4 \
        tests/test_simulated_gpu.py tests/proxysample/dynamics/test_recorder.py \
        tests/proxysample/samplers/test_samplers_on_a_gpu.py \
        tests/proxysample_nas/searchers/test_host_reads.py
    step 02-kmeans-torch data "$python" benchmarks/kmeans.py --backend torch --device "$device" $kmeans
    step 03-kmeans-faiss faiss-gpu "$python" benchmarks/kmeans.py --backend faiss --device "$device" $kmeans
    step 04-embed gpu "$python" benchmarks/embed.py --untrained --device "$device" $photos
    step 05-search-steps gpu "$python" benchmarks/search_step.py --device "$device" $forms \
        --precision float32 --precision bfloat16 $sizes
    step 06-recorder gpu "$python" benchmarks/recorder.py --device "$device" $recording
    step 07-study data run_study $study
}
exit $failed
