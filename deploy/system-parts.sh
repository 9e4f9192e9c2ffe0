#!/bin/sh
# Programs that some tests need and that no Python package brings: Chromium and ffmpeg.
# As root on Debian or its like it installs what is missing; elsewhere it says what is missing
# and which tests are left out for it. It never fails: tests say themselves what they lack.

missing=""
command -v ffmpeg >/dev/null 2>&1 && command -v ffprobe >/dev/null 2>&1 || missing="ffmpeg"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
    command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:" $missing
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # two names are two arguments
    if { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } \
        >/dev/null 2>&1 </dev/null; then
        exit 0
    fi
    echo "apt-get could not install them."
fi

for part in $missing; do
    case $part in
        ffmpeg) echo "ffmpeg is missing: tests of video are left out (apt-get install ffmpeg)." ;;
        chromium) echo "Chromium is missing: tests of the live page are left out (apt-get install chromium)." ;;
    esac
done
exit 0
