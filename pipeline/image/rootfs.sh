#!/bin/sh
# Make the root file system in which the recipes run, the same to the byte whenever the same packages are given.
#
#   rootfs.sh OUTPUT.tar                 build it (needs mmdebstrap)
#   rootfs.sh --pin PREFERENCES ROOT     step of the build: hold packages at the versions pinned
#   rootfs.sh --finish ROOT              step of the build: write the bill of materials, take out what varies
#
# Environment: CLIO_SUITE     release of Debian (default: bookworm)
#              CLIO_MIRROR    mirror or sources.list to take packages from (default: mmdebstrap's own choice)
#              CLIO_PINS      file in the format of apt_preferences(5) with the versions wanted
#
# `pipeline.image.build` and the Dockerfile both run this script; there is no other way to make the image.
set -eu

# Times later than this are set back to it. Nothing reads them; they only have to be the same every time.
SOURCE_DATE_EPOCH=1735689600
export SOURCE_DATE_EPOCH
LC_ALL=C.UTF-8
export LC_ALL

PACKAGES=esorex,cpl-plugin-muse,faketime,dash,coreutils

# Print the bill of materials of the packages just extracted: name, version, architecture, SHA-256 of the .deb.
bill_of_materials() {
    separator='['
    for deb in "$1"/var/cache/apt/archives/*.deb; do
        printf '%s\n{"architecture":"%s","name":"%s","sha256":"%s","version":"%s"}' "$separator" \
            "$(dpkg-deb --field "$deb" Architecture)" "$(dpkg-deb --field "$deb" Package)" \
            "$(sha256sum "$deb" | cut -d ' ' -f 1)" "$(dpkg-deb --field "$deb" Version)"
        separator=','
    done
    printf '\n]\n'
}

# What a recipe never reads, and what differs from build to build, goes; mount points and a few names come.
# No maintainer script has run (variant "extract"), so there is no state of any to keep.
finish() {
    root=$1
    mkdir -p "$root/usr/share/clio"
    bill_of_materials "$root" >"$root/usr/share/clio/packages.json"
    mv "$root/etc/esorex.rc" "$root/usr/share/clio/esorex.rc"
    # Package lists, locks, status, the mirror's name, this host's name and resolver: all of it.
    rm -rf "$root/var" "$root/etc" "$root/tmp"
    mkdir -m 0755 "$root/etc" "$root/in" "$root/out" "$root/proc" "$root/run" "$root/sys" "$root/var"
    mkdir -m 1777 "$root/tmp" "$root/var/tmp"
    mv "$root/usr/share/clio/esorex.rc" "$root/etc/esorex.rc"
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    # Container engines mount these over; with a read-only root the place must be there.
    : >"$root/etc/hostname" >"$root/etc/hosts" >"$root/etc/resolv.conf"
    (
        cd "$root/usr"
        rm -rf games include local share/bash-completion share/bug share/debianutils share/doc share/doc-base \
            share/dpkg share/info share/lintian share/locale share/man share/menu share/perl5 share/polkit-1 \
            lib/systemd lib/tmpfiles.d lib/*-linux-gnu/gconv src
    )
    # Umask and set-id bits of whoever builds must not show.
    chmod 0755 "$root"
    find "$root/etc" "$root/usr" -type f -perm /6000 -exec chmod ug-s {} +
    find "$root/etc" "$root/usr/share/clio" -type f -exec chmod 0644 {} +
    find "$root/etc" "$root/usr/share/clio" -type d -exec chmod 0755 {} +
}

case ${1:---help} in
--pin)
    mkdir -p "$3/etc/apt/preferences.d"
    cp "$2" "$3/etc/apt/preferences.d/clio"
    ;;
--finish)
    finish "$2"
    ;;
--help | -h)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    ;;
*)
    self=$(readlink -f "$0")
    if [ -n "${CLIO_PINS:-}" ]; then
        pin="sh '$self' --pin '$(readlink -f "$CLIO_PINS")' \"\$1\""
    else
        pin=true
    fi
    # An empty list of mirrors leaves the choice to mmdebstrap: main, updates and security of the release.
    exec mmdebstrap --variant=extract --include="$PACKAGES" --format=tar \
        --skip=cleanup --skip=output/dev \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --setup-hook="$pin" --extract-hook="sh '$self' --finish \"\$1\"" \
        "${CLIO_SUITE:-bookworm}" "$1" ${CLIO_MIRROR:+"$CLIO_MIRROR"}
    ;;
esac
