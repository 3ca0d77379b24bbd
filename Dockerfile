# A release build gives the digest: `make image BASE_DIGEST=…`. Without one the tag counts.
ARG BASE_DIGEST
FROM debian:trixie-slim${BASE_DIGEST:+@$BASE_DIGEST} AS base

# The newest of the release: pinned versions leave Debian's mirrors with each fix, and
# the base image may be older than a fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get upgrade -y \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip tzdata \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /image

# EXTRAS="aws gcp azure" adds what tokens in place of passwords need: any of the three.
ARG EXTRAS=""
COPY requirements.lock requirements-aws.lock requirements-azure.lock requirements-gcp.lock /
RUN for extra in "" $EXTRAS; do \
        echo "--requirement=/requirements${extra:+-$extra}.lock"; \
    done | xargs python3 -m pip install --no-cache-dir --no-compile --no-deps \
        --require-hashes --only-binary=:all: --target usr/lib/python3/dist-packages \
    && rm -rf usr/lib/python3/dist-packages/bin

# Left out of the standard library: CPython's own tests, and what needs a terminal.
RUN cp -a --parents /lib* /usr/bin/python3 /usr/bin/python3.13 /usr/lib/python3.13 \
        /etc/os-release /usr/lib/os-release /etc/ssl/certs/ca-certificates.crt \
        /usr/share/zoneinfo .
WORKDIR /image/usr/lib/python3.13
RUN rm -rf EXTERNALLY-MANAGED sitecustomize.py _pyrepl curses pydoc_data test turtle.py venv \
        lib-dynload/*curses* lib-dynload/readline* lib-dynload/_dbm* \
        lib-dynload/*_test* lib-dynload/*xx* \
    && find . -name __pycache__ -prune -exec rm -r {} +
WORKDIR /image

# The shared libraries that all of it is linked with.
RUN find /lib* -maxdepth 0 -printf 'usr%p\n' | xargs mkdir -p \
    && { echo /usr/bin/python3.13; find "$PWD/usr" -name '*.so*'; } | xargs ldd \
        | grep -oE '/[^ :]+ ' | grep -v "^$PWD" | sort -u | xargs cp -L --parents -t . \
    && echo 'root:x:0:0:root:/nonexistent:/nonexistent' > etc/passwd \
    && echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/nonexistent' >> etc/passwd \
    && printf 'root:x:0:\nnonroot:x:65532:\n' > etc/group

# Vulnerability scanners look there for what an image without a package manager holds.
RUN mkdir -p var/lib/dpkg/status.d \
    && { find usr -type f -printf '/%p\n' | xargs dpkg -S 2>/dev/null || true; \
            echo ca-certificates:; } \
        | cut -d: -f1 | sort -u \
        | while read -r package; do \
            dpkg-query --status "$package" > "var/lib/dpkg/status.d/$package" \
            && cp -L --parents "/usr/share/doc/$package/copyright" .; \
        done

COPY entrypoint.py LICENSE* ./
COPY migrator usr/lib/python3/dist-packages/migrator/

# Byte-code that is never compared with its source stays valid whatever copies, mounts
# or rewrites the layers' time stamps.
RUN chmod -R a+rX,go-w . \
    && mkdir -m 1777 tmp \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -s "$PWD" -p / "$PWD/usr"

# What the image is made of: Debian's packages, Python's, and what the driver's wheel
# has brought along. None of the tools is in the image.
FROM base AS sbom

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

COPY requirements-sbom.lock /
RUN python3 -m pip install --no-cache-dir --no-deps --require-hashes \
        --only-binary=:all: --requirement /requirements-sbom.lock --target /sbom

WORKDIR /sbom
ENV PATH=/sbom/bin:$PATH \
    PYTHONPATH=/sbom
COPY pyproject.toml ./
COPY --from=build /image /image
# What stands in single quotes is for sed, and for a shell that comes later.
# hadolint ignore=SC2016
RUN mkdir -p root/var/lib/dpkg \
    && sed -s '$G' /image/var/lib/dpkg/status.d/* > root/var/lib/dpkg/status \
    && debsbom generate --sbom-type cdx --out debian --root root --distro-name debian \
        --distro-arch "$(dpkg --print-architecture)" \
        --no-recommends-deps --no-suggests-deps \
    && printf '#!/bin/sh\nPYTHONPATH=%s exec python3 "$@"\n' \
        /image/usr/lib/python3/dist-packages > image-python \
    && chmod +x image-python \
    && cyclonedx-py environment -S --output-reproducible --pyproject pyproject.toml \
        --output-file python.cdx.json ./image-python

# Time stamps are the same in each build of the same files. They are set last: the cache
# of a COPY does not look at them, and may have those of another build.
ARG VERSION
ARG SOURCE_DATE_EPOCH=0
RUN mkdir /image/usr/share/migrator \
    && debsbom merge --sbom-type cdx --omit-roots --out - \
        --distro-name migrator --distro-version "${VERSION:-0}" \
        --timestamp "$(date --utc --date="@$SOURCE_DATE_EPOCH" +%FT%TZ)" \
        --cdx-serialnumber "$({ echo "$VERSION" "$SOURCE_DATE_EPOCH"; \
            cat python.cdx.json root/var/lib/dpkg/status; } | python3 -c \
            'import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_OID, sys.stdin.read()))')" \
        ./*.cdx.json /image/usr/lib/python3/dist-packages/*.dist-info/sboms/*.cdx.json \
        | sed 's/"type": "operating-system"/"type": "container"/' \
        > /image/usr/share/migrator/sbom.cdx.json \
    && find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM scratch

COPY --from=sbom /image /

ENV HOME=/nonexistent \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/python3", "-P", "/entrypoint.py"]

ARG BASE_DIGEST
ARG VERSION
ARG REVISION
ARG CREATED
ARG SOURCE
LABEL org.opencontainers.image.title="migrator" \
      org.opencontainers.image.description="Migrates a PostgreSQL schema once and exits" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim" \
      org.opencontainers.image.base.digest="$BASE_DIGEST"
