# Sourced by steps that need a running devnet: start_devnet, stop_devnet, height, block_time.
# One devnet at a time, in a directory that is removed with the shell.

lignum=target/release/lignum
http_port=${HTTP_PORT:-18545}
url=http://127.0.0.1:$http_port
devnet_dir=$(mktemp -d)
devnet_pid=

cleanup() {
    if [ -n "$devnet_pid" ]; then kill -KILL "$devnet_pid" 2>/dev/null || true; fi
    rm -rf "$devnet_dir"
}
trap cleanup EXIT

# Starts a new network, with further arguments; what it prints goes to $devnet_dir/log.
start_devnet() {
    rm -rf "${devnet_dir:?}/data"
    "$lignum" devnet --fresh --datadir "$devnet_dir/data" --http.port "$http_port" "$@" \
        >"$devnet_dir/log" 2>&1 &
    devnet_pid=$!
}

# Ctrl-C once, as a person would; fails unless the devnet ends by itself with status 0.
stop_devnet() {
    local status=0
    kill -INT "$devnet_pid"
    wait "$devnet_pid" || status=$?
    devnet_pid=
    if [ "$status" -ne 0 ]; then
        echo "devnet ended with status $status:" && cat "$devnet_dir/log"
        return 1
    fi
}

# Height of the head; -1 while nobody answers.
height() {
    local found
    found=$(curl -sf -m 2 "$url/v1/status" | tr -d ' \n' |
        sed -nE 's/.*"head":\{[^}]*"height":"?([0-9]+).*/\1/p' || true)
    echo "${found:--1}"
}

# Time stamp of the block at a height.
block_time() {
    curl -sf -m 2 "$url/v1/blocks/$1" | tr -d ' \n' | sed -nE 's/.*"time":"?([0-9]+).*/\1/p'
}

# await_height HEIGHT SECONDS: fails when the time is over or the devnet has died.
await_height() {
    local until=$((SECONDS + $2))
    while [ "$(height)" -lt "$1" ]; do
        if [ "$SECONDS" -ge "$until" ] || ! kill -0 "$devnet_pid" 2>/dev/null; then
            echo "no block $1 within $2 s, height $(height):" && cat "$devnet_dir/log"
            return 1
        fi
        sleep 0.05
    done
}
