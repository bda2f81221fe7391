#!/usr/bin/env bash
# WebSocket's conformance tests (Autobahn, cases 1 to 7, 9, 10; 12 and 13 need compression, which is not
# offered) against an echo over the server's own connection code. Prints one line of JSON.
#
#   tests/autobahn.sh [REPORT-FOLDER]
#
# Needs `wstest`, named by WSTEST or on the path. Where there is none it is installed below the target
# folder, if there is a Python 2.7 with pip (PYTHON2, else `python2.7`), or else Docker runs
# crossbario/autobahn-testsuite.
set -uo pipefail
cd "$(dirname "$0")/.."

report="${1:-$(mktemp -d)}"
mkdir -p "$report"
report="$(realpath "$report")"
wstest="${WSTEST:-wstest}"
revision="$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"

python2="${PYTHON2:-python2.7}"
tools="${CARGO_TARGET_DIR:-target}/tools/autobahn"
if command -v "$wstest" >/dev/null; then
    run=("$wstest" --mode fuzzingclient --spec "$report/spec.json")
elif [ -e "$tools/bin/wstest" ] || "$python2" -m pip install --quiet --target "$tools" autobahntestsuite; then
    # Some of what it needs is only found in a folder that counts as a site.
    run=("$python2" -c 'import site, sys; site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run; run()' "$tools" --mode fuzzingclient --spec "$report/spec.json")
elif docker info >/dev/null 2>&1; then
    run=(docker run --rm --network host -v "$report:$report" crossbario/autobahn-testsuite
        wstest --mode fuzzingclient --spec "$report/spec.json")
else
    echo "NOT TRIED: neither wstest nor Python 2.7 nor Docker is here; see the head of this script" >&2
    exit 2
fi

cargo build --quiet -p plenary-server --features conformance --example echo || exit 2
coproc echo { exec "${CARGO_TARGET_DIR:-target}/debug/examples/echo"; }
trap 'kill "$echo_PID" 2>/dev/null' EXIT
read -r port <&"${echo[0]}"
cat >"$report/spec.json" <<SPEC
{"outdir": "$report", "servers": [{"agent": "plenary", "url": "ws://127.0.0.1:$port"}],
 "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"], "exclude-cases": []}
SPEC
"${run[@]}" >"$report/log" 2>&1 || { tail -n 20 "$report/log" >&2; exit 2; }

python3 - "$report/index.json" "$revision" <<'PYTHON'
import collections, json, sys
cases = json.load(open(sys.argv[1]))["plenary"]
counts = collections.Counter()
for name, case in sorted(cases.items()):
    good = {"OK", "NON-STRICT", "INFORMATIONAL"}
    failed = not {case["behavior"], case["behaviorClose"]} <= good
    counts["failed" if failed else case["behavior"].lower()] += 1
    if failed:
        print(f"case {name}: {case['behavior']}, close {case['behaviorClose']}", file=sys.stderr)
print(json.dumps({"run": "autobahn", "cases": len(cases), "failed": counts["failed"],
                  "counts": counts, "revision": sys.argv[2]}))
sys.exit(counts["failed"] > 0 or not cases)
PYTHON
