#!/usr/bin/env bash
# journal.sh: what the journal costs on the disk that the build directory is on.
set -euo pipefail
exec "$DROVER_BIN_DIR/../tests/bench_journal" --dir "$DROVER_BIN_DIR/.." "$@"
