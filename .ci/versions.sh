#!/usr/bin/env bash
# Every recipe, image and module names the version of Cargo.toml: bash .ci/versions.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# An image, a package, or a version of the file's own.
named=$(git grep -nE "(rnaret(:| ?=)|(^|[^-])(version|VERSION)[\"' :=]+)[0-9]+\.[0-9]+\.[0-9]+" -- CITATION.cff containers workflows)
other=$(grep -vE "[^0-9.]${version//./\\.}([^0-9.]|$)" <<<"$named" || true)
if [ -n "$other" ]; then
    printf 'not version %s:\n%s\n' "$version" "$other" >&2
    exit 1
fi
echo "$(wc -l <<<"$named") places name version $version"
