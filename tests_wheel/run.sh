#!/bin/sh
# Build the wheel, install it in a new environment outside the repository and use it there.
# The wheel's dependencies are lent by the environment of the given Python, so nothing is fetched.
set -eu

python=$(command -v "$1") || { echo "wheel-test: no Python at $1" >&2; exit 2; }
case $python in /*) ;; *) python=$PWD/$python ;; esac
here=$(cd "$(dirname "$0")" && pwd)
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT INT TERM

"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$away/dist" "$here/.."
"$python" -m venv --without-pip "$away/venv"
"$python" -m pip --python "$away/venv/bin/python" install --quiet --disable-pip-version-check \
    --no-deps --no-index "$away"/dist/*.whl

lent=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$away/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$lent" > "$own/lent.pth"

cp "$here/test_wheel.py" "$away/"
cd "$away"
unset PYTHONPATH
venv/bin/python -c 'import selftaught'
venv/bin/selftaught --help > help.txt
venv/bin/python -m pytest -q -W error -p no:cacheprovider test_wheel.py > tests.txt 2>&1 || { cat tests.txt; exit 1; }
echo "wheel: $(basename dist/*.whl) works outside the repository"
