#!/usr/bin/env bash
# Builds the image with docker or podman where one answers, else with buildah on a base made of Debian's packages.
# IMAGE names it, PIP_CERT is trusted by pip while it is built, DEBIAN_MIRROR is where packages come from.
set -euo pipefail
cd "$(dirname "$0")/.."
IMAGE=${IMAGE:-unrolled:latest}
BASE=localhost/unrolled-base:bookworm

main() {
  local engine arguments=(--file deploy/Containerfile --tag "$IMAGE")
  [ -z "${PIP_CERT:-}" ] || arguments+=(--secret "id=certificates,src=$PIP_CERT")
  for engine in docker podman; do
    if "$engine" info >/dev/null 2>&1; then
      exec "$engine" build "${arguments[@]}" .
    fi
  done
  if ! command -v buildah >/dev/null || ! command -v debootstrap >/dev/null; then
    echo "Neither docker nor podman answers. To build without them, as root: apt-get install buildah debootstrap" >&2
    exit 1
  fi
  buildah inspect "$BASE" >/dev/null 2>&1 || make_base
  # Docker's format, since OCI's has no health check.
  buildah build --isolation chroot --layers --format docker --build-arg "BASE=$BASE" "${arguments[@]}" .
}

make_base() {
  local root container
  echo "Making a base image of Debian's packages"
  root=$(mktemp -d)
  # shellcheck disable=SC2064  the folder that is known now
  trap "rm -rf '$root'" EXIT
  debootstrap --variant=minbase --include=ca-certificates,python3 bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,info,locale,man}/*
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$root" /
  buildah config --env LANG=C.UTF-8 --cmd bash "$container"
  buildah commit --quiet --rm "$container" "$BASE"
}

main
