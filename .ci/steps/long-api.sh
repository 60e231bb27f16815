#!/usr/bin/env bash
# Requests of many kinds, made from the API's own description, to a node that mines: none may be
# answered by a 5xx, or by what the description does not say. EXAMPLES is how many are made for
# each operation.
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/devnet.sh
examples=${EXAMPLES:-200} seed=${SEED:-1}
venv=$devnet_dir/venv
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5

start_devnet
await_height 3 60
token=$(cat "$devnet_dir"/data/node-1/operator.token)
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance

# ask NAME [OPTION...]: a description that fits nothing is a failure too.
ask() {
    local name=$1
    shift
    echo "--- $name: $examples examples, seed $seed"
    (cd "$devnet_dir" && "$venv/bin/schemathesis" run "$url/v1/openapi.json" --checks "$checks" \
        --max-examples "$examples" --seed "$seed" --generation-database none --no-color \
        --request-timeout 20 --warnings off "$@")
}

# Event streams have no end, and the verbs of operators are for the second run.
ask "all but operators' verbs" --exclude-path /v1/events --exclude-path-regex '^/v1/dev/'
# With the token, but for blocks at once, which take as long as their work.
ask "operators' verbs" --include-path-regex '^/v1/dev/(partition|delay|faucet)$' \
    -H "Authorization: Bearer $token"
ask "operators' verbs without the token" --include-path-regex '^/v1/dev/' \
    --generation-with-security-parameters false
stop_devnet
