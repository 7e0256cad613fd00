#!/usr/bin/env bash
# What a release has to pass: `make release-check`. PYTHONS names the interpreters; those that are missing are said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHONS=${PYTHONS:-"python3.10 python3.11 python3.12 python3.13 python3.14"}
missing=()

for python in $PYTHONS; do
    if command -v "$python" > /dev/null; then
        echo "== tests by $python"
        make test VENV=".venv-$python" PYTHON="$python"
    else
        missing+=("$python")
    fi
done
echo "== tests with the lowest versions"
if command -v python3.10 > /dev/null; then make test-lowest PYTHON=python3.10; else missing+=("the lowest versions"); fi
echo "== lint and documentation"
make lint docs
echo "== wheel and sdist"
make dist

echo "== the wheel in a clean environment"
rm -rf .venv-release && python3 -m venv .venv-release
.venv-release/bin/python -m pip install --quiet -c constraints.txt dist/*.whl
folder=$(mktemp -d)
(
    cd "$folder"
    i2md="$OLDPWD/.venv-release/bin/i2md"
    "$i2md" --version
    "$i2md" prepare synthetic any clips > /dev/null
    "$i2md" embed kinect-base clips features.npz
)
rm -r "$folder"

echo "== licences and components of that environment"
python3 -m venv .venv-release-tools
.venv-release-tools/bin/python -m pip install --quiet pip-licenses cyclonedx-bom pip-audit
.venv-release-tools/bin/pip-licenses --python .venv-release/bin/python --format markdown > dist/licences.md
.venv-release-tools/bin/cyclonedx-py environment .venv-release/bin/python > dist/sbom.json
grep -ciE "\| *(GPL|AGPL)" dist/licences.md && { echo "a dependency under the GPL: see dist/licences.md"; exit 1; }
echo "== known vulnerabilities"
.venv-release/bin/python -m pip freeze --exclude i2md > dist/frozen.txt
.venv-release-tools/bin/pip-audit --no-deps --disable-pip --requirement dist/frozen.txt || missing+=("the audit")

if ((${#missing[@]})); then
    printf 'NOT CHECKED: %s\n' "${missing[@]}"
    exit 1
fi
echo "all checks of a release passed"
