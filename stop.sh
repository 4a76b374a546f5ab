#!/bin/sh
# Stop the video service that start.sh began; docs/service.md.
cd "$(dirname "$0")" || exit
if [ ! -x .venv/bin/ltx2-patcher ]; then
    echo "stop.sh: the tool is not installed; run \`make patch\` first" >&2
    exit 3
fi
exec .venv/bin/ltx2-patcher serve stop "$@"
