#!/bin/bash
set -euo pipefail

# The licences of everything that is linked in.
cargo-bundle-licenses --format yaml --output THIRDPARTY.yml

cargo install --no-track --locked --verbose --root "${PREFIX}" --path .

mkdir -p "${PREFIX}"/share/man/man1 "${PREFIX}"/share/bash-completion/completions "${PREFIX}"/share/zsh/site-functions \
    "${PREFIX}"/share/fish/vendor_completions.d
# Only a binary of this machine can be asked for its manual.
if [ "${build_platform:-${target_platform:-}}" = "${target_platform:-}" ]; then
    for tool in rna-kmerize rna-mask rnaret-embed rnaret-fold rnaret-coding rnaret-mirtarget rnaret-predict rnaret-report rnaret-train; do
        "${PREFIX}/bin/${tool}" --man > "${PREFIX}/share/man/man1/${tool}.1"
        "${PREFIX}/bin/${tool}" --completions bash > "${PREFIX}/share/bash-completion/completions/${tool}"
        "${PREFIX}/bin/${tool}" --completions zsh > "${PREFIX}/share/zsh/site-functions/_${tool}"
        "${PREFIX}/bin/${tool}" --completions fish > "${PREFIX}/share/fish/vendor_completions.d/${tool}.fish"
    done
    for task in pretrain fold coding mirtarget evaluate import; do
        "${PREFIX}/bin/rnaret-train" --man "${task}" > "${PREFIX}/share/man/man1/rnaret-train-${task}.1"
    done
fi
