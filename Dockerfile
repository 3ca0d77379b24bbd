FROM debian:trixie-slim AS build

RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip tzdata \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /image

COPY requirements.lock /
RUN python3 -m pip install --no-cache-dir --no-compile --no-deps --require-hashes \
        --only-binary=:all: --requirement /requirements.lock \
        --target usr/lib/python3/dist-packages \
    && rm -rf usr/lib/python3/dist-packages/bin

# Left out of the standard library: CPython's own tests, and what needs a terminal.
RUN cp -a --parents /lib* /usr/bin/python3 /usr/bin/python3.13 /usr/lib/python3.13 \
        /etc/os-release /usr/lib/os-release /etc/ssl/certs/ca-certificates.crt \
        /usr/share/zoneinfo . \
    && cd usr/lib/python3.13 \
    && rm -rf EXTERNALLY-MANAGED sitecustomize.py _pyrepl curses pydoc_data test turtle.py venv \
        lib-dynload/*curses* lib-dynload/readline* lib-dynload/_dbm* \
        lib-dynload/*_test* lib-dynload/*xx* \
    && find . -name __pycache__ -prune -exec rm -r {} +

# The shared libraries that all of it is linked with.
RUN find /lib* -maxdepth 0 -printf 'usr%p\n' | xargs mkdir -p \
    && { echo /usr/bin/python3.13; find "$PWD/usr" -name '*.so*'; } | xargs ldd \
        | grep -oE '/[^ :]+ ' | grep -v "^$PWD" | sort -u | xargs cp -L --parents -t . \
    && echo 'root:x:0:0:root:/nonexistent:/nonexistent' > etc/passwd \
    && echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/nonexistent' >> etc/passwd \
    && printf 'root:x:0:\nnonroot:x:65532:\n' > etc/group

# Vulnerability scanners look there for what an image without a package manager holds.
RUN mkdir -p var/lib/dpkg/status.d \
    && { find usr -type f -printf '/%p\n' | xargs dpkg -S 2>/dev/null; echo ca-certificates:; } \
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

FROM scratch

COPY --from=build /image /

ENV HOME=/nonexistent \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/python3", "-P", "/entrypoint.py"]

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
      org.opencontainers.image.source="$SOURCE"
