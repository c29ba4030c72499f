#!/usr/bin/env bash
# Packs the release binaries of a target that this machine can run: pack.sh TARGET writes dist/rnaret-VERSION-TARGET.tar.gz with
# bin/, man pages, completions, the licences of the project and of all that is linked in (needs cargo-bundle-licenses).
set -euo pipefail
target=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
binaries=${CARGO_TARGET_DIR:-target}/$target/release
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=rnaret-$version-$target
folder=dist/$name

rm -rf "$folder"
mkdir -p "$folder"/{bin,share/man/man1,share/bash-completion/completions,share/zsh/site-functions,share/fish/vendor_completions.d}
for tool in rna-kmerize rna-mask rnaret-embed rnaret-fold rnaret-coding rnaret-mirtarget rnaret-predict rnaret-report rnaret-train; do
    install -m 755 "$binaries/$tool" "$folder/bin/$tool"
    "$folder/bin/$tool" --man >"$folder/share/man/man1/$tool.1"
    "$folder/bin/$tool" --completions bash >"$folder/share/bash-completion/completions/$tool"
    "$folder/bin/$tool" --completions zsh >"$folder/share/zsh/site-functions/_$tool"
    "$folder/bin/$tool" --completions fish >"$folder/share/fish/vendor_completions.d/$tool.fish"
done
for task in pretrain fold coding mirtarget classify regress label evaluate condense import; do
    "$folder/bin/rnaret-train" --man "$task" >"$folder/share/man/man1/rnaret-train-$task.1"
done
cp README.md CHANGELOG.md CITATION.cff LICENSE-MIT LICENSE-APACHE "$folder/"
cp -r models "$folder/models"
rm -f "$folder"/models/*.safetensors "$folder"/models/*.sh
cargo bundle-licenses --format yaml --output "$folder/THIRDPARTY.yml"
tar -C dist -czf "dist/$name.tar.gz" --sort=name --owner=0 --group=0 --numeric-owner "$name"
rm -rf "$folder"
