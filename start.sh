#!/bin/sh
# Start the video service in the background; docs/service.md.
cd "$(dirname "$0")" || exit
if [ ! -x .venv/bin/ltx2-patcher ]; then
    echo "start.sh: the tool is not installed; run \`make patch\` first" >&2
    exit 3
fi
exec .venv/bin/ltx2-patcher serve start "$@"
