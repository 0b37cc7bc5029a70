#!/bin/sh
# Compile the hashed requirements from pyproject.toml; no index address is recorded.
set -eu
uv=${UV:-.venv/bin/uv}
compile() { "$uv" pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header "$@"; }
compile pyproject.toml -o requirements/base.txt
for group in crew scanner clients fuzz dev; do compile --group "$group" -o "requirements/$group.txt"; done
compile requirements/uv.in -o requirements/uv.txt
compile requirements/build.in -o requirements/build.txt
compile tests/contract/base/traces/phoenix.in -o tests/contract/base/traces/phoenix.txt
