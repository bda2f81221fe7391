#!/usr/bin/env bash
# All fuzz targets, MINUTES each (1 by default), or those that are named:
#
#   tests/fuzz/run.sh [MINUTES [TARGET...]]
#
# Needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz). Prints one line of JSON a target;
# what was found lies in artifacts/TARGET, what was learnt in learnt/TARGET, where it begins in corpus/TARGET.
set -uo pipefail
cd "$(dirname "$0")"

minutes="${1:-1}"
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)
revision="$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
seed="${PLENARY_TRIAL_SEED:-$RANDOM}"
failed=0

seeds="$(mktemp -d)/seeds"
rustc --edition 2024 -o "$seeds" seeds.rs && "$seeds" || exit 2
for target in "${targets[@]}"; do
    log="$(mktemp)"
    mkdir -p "learnt/$target"
    # Only what the target needs is built.
    features=()
    case "$target" in
        content | manifests) features=(--features client) ;;
        store_rows | operations) features=(--features server) ;;
    esac
    cargo +nightly fuzz run --fuzz-dir . --sanitizer none --no-default-features "${features[@]}" "$target" \
        "learnt/$target" "corpus/$target" -- \
        -max_total_time=$((minutes * 60)) -seed="$seed" -max_len=65536 -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 >"$log" 2>&1
    found=$?
    runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    printf '{"run":"fuzz","target":"%s","minutes":%s,"seed":%s,"executions":%s,"found":%s,"revision":"%s"}\n' \
        "$target" "$minutes" "$seed" "${runs:-0}" "$([ $found -eq 0 ] && echo 0 || echo 1)" "$revision"
    [ $found -eq 0 ] || { failed=1; tail -n 30 "$log" >&2; }
    rm -f "$log"
done
exit $failed
