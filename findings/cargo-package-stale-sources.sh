#!/usr/bin/env bash
# `cargo package --workspace` verifies a package against the sources of an earlier run.
#
# Seen with cargo 1.95.0. Two packages of a workspace are packaged; `app` calls a function of `base`. Then the function
# gets another name in both, and they are packaged again, at the same version and in the same folder. The workspace
# builds, but `cargo package` fails:
#
#     error[E0425]: cannot find function `new_name` in crate `base`
#
# Cargo serves the packages to each other from a registry in the target folder, and takes a version of a registry for
# one that never changes: it uses the sources of `base` that the first run unpacked into CARGO_HOME. A removed target
# folder does not help, and neither does a fresh clone in the same place.
#
# Runs cargo alone, in a temporary folder with a CARGO_HOME of its own; it reads the index of crates.io. Fails if the
# behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
config=${CARGO_HOME:-$HOME/.cargo}/config.toml
export CARGO_HOME="$work/home"
mkdir -p "$CARGO_HOME"
# A mirror of crates.io, where one is configured.
if [ -f "$config" ]; then cp "$config" "$CARGO_HOME"; fi
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with cargo 1.95.0"

write() { # the name of the function
    rm -rf "$work/ws"
    mkdir -p "$work/ws/base/src" "$work/ws/app/src"
    cd "$work/ws"
    printf '[workspace]\nmembers = ["base", "app"]\nresolver = "3"\n' > Cargo.toml
    for name in base app; do
        {
            printf '[package]\nname = "stale-sources-%s"\nversion = "0.1.0"\nedition = "2024"\n' "$name"
            printf 'license = "MIT"\ndescription = "x"\nrepository = "https://example.org"\n'
        } > "$name/Cargo.toml"
    done
    printf '[dependencies]\nstale-sources-base = { path = "../base", version = "0.1.0" }\n' >> app/Cargo.toml
    printf 'pub fn %s() {}\n' "$1" > base/src/lib.rs
    printf 'pub fn run() { stale_sources_base::%s() }\n' "$1" > app/src/lib.rs
}

write old_name
cargo --quiet package --workspace --allow-dirty
echo "first run: verified"

# The whole workspace is written again, without its target folder.
write new_name
cargo --quiet build --workspace
echo "second run: the workspace builds"
if output=$(cargo --quiet package --workspace --allow-dirty 2>&1); then
    echo "CHANGED: the second run is verified as well"
    exit 1
fi
if ! grep -q 'cannot find function `new_name`' <<< "$output"; then
    printf 'CHANGED: it fails in another way:\n%s\n' "$output"
    exit 1
fi
echo "second run: package fails, cannot find function \`new_name\`: it compiled against the sources of the first run"
