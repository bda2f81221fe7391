#!/bin/sh
# The simulation against three bugs: each must be caught, and without them nothing is.
#
#   tests/seeded-bugs.sh                 builds with the bugs in and runs the test
#   tests/seeded-bugs.sh RUSTC ARGS...   what cargo calls for each crate of the workspace
if [ $# -gt 0 ]; then
    exec "$@" --cfg plenary_seeded_bugs
fi
cd "$(dirname "$0")/.." || exit 1
RUSTC_WORKSPACE_WRAPPER="$PWD/tests/seeded-bugs.sh"
export RUSTC_WORKSPACE_WRAPPER
exec cargo test --locked -p plenary-tests --test simulation -- --nocapture seeded
